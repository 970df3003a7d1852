"""The meter on a run that is there."""

from __future__ import annotations

from pathlib import Path

import rich.box
import rich.table
from rich.console import Console

from nopal.errors import NopalError
from nopal.meter import Reading, read_meter
from nopal.partitions import Partitions, from_labels
from nopal.runs import RunFolder, check_writable, load_run
from nopal.runs.files import write_json
from nopal.stages.beginning import check_digest, digest_of
from nopal.stages.loading import image_shape, key_of, load
from nopal.stages.measuring import EVALUATION_SEED
from nopal.stages.pipeline import class_tasks
from nopal.stages.reopening import origin_of
from nopal.stages.sources import load_images
from nopal.stages.trials import verdict
from nopal.training import Tasks

NAMES = {
    "right": "with the support set",
    "before": "before adaptation",
    "shuffled": "with its labels shuffled",
    "foreign": "with another task's",
    "guess": "the best constant guess",
}


def meter_run(path: Path, source: str | None, partitions: Path | None, episodes: int, console: Console) -> Reading:
    """Read the meter on a run's learner, print the reading and write it into the run's folder."""
    check_writable(path / "meter.json")
    run = load_run(path)
    tasks = training_tasks(run, source, partitions)
    reading = read_meter(load(path), tasks, key=key_of(EVALUATION_SEED), episodes=episodes)
    found = reading.as_dict()
    write_json(path / "meter.json", found)
    table = rich.table.Table(f"{episodes:,} training tasks", reading.metric.replace("_", " "), box=rich.box.SIMPLE_HEAD)
    for name, words in NAMES.items():
        table.add_row(words, "none" if found[name] is None else f"{found[name]:.4g}")
    console.print(table)
    console.print(f"Reliance on the support set, from 0 to 1: {verdict(reading)}", highlight=False, soft_wrap=True)
    return reading


def training_tasks(run: RunFolder, source: str | None, partitions: Path | None) -> Tasks:
    """Tasks like those that a run was meta-trained on: as its recipe made them, or from images that are named.

    Raises `NopalError` where something is missing."""
    origin = origin_of(run, source)
    if origin.data:
        return origin.open().training(run, origin.experiment)
    if source is None:
        raise NopalError(f"The run in {run.path} does not say what it was trained on; name its images.")
    shape = image_shape(load(run.path))
    images = load_images(source, size=shape[:2])  # in the colours that training found: converted they would differ
    origin.check(images.shape)
    check_digest(run.path, digest_of(images.images))
    kept = partitions or run.path / "partitions.npz"
    if str(partitions) == "labels":
        divided = from_labels(images.need_labels())
    elif kept.exists():
        divided = Partitions.load(kept)
    else:
        raise NopalError(f"There are no partitions at {kept}; name the file by --partitions, or the word labels.")
    check_digest(run.path, digest_of(divided.members, divided.starts), "groups")
    return class_tasks(run, images.images, divided)
