"""What `fit_folder` refuses, and rounds; that it works at all is a test of the command line."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from nopal import NopalError
from nopal.encoders import load_encoder
from nopal.options.experiment import EncoderOptions, PartitionOptions, TrainingOptions
from nopal.options.learners import ProtoNetOptions
from nopal.stages.fitting import fit_folder
from nopal.stages.metering import meter_run

TRAINING = TrainingOptions(way=2, query=1, tasks_per_step=1, steps=2)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five dark images of noise, and five bright ones."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 100, (10, 8, 8), np.uint8)):
        Image.fromarray(pixels + np.uint8(150 * (i % 2))).save(folder / f"{i}.png")
    return folder


def fit(source: Path, out: Path, **changes: Any) -> None:
    choices = {
        "size": 8,
        "encoder": EncoderOptions("raw"),
        "partitions": PartitionOptions(clusters=2, partitions=1),
        "learner": ProtoNetOptions(filters=4, downsample="stride"),
        "training": TRAINING,
        "skip_unreadable": False,
        "resume": False,
        "console": Console(quiet=True),
    }
    fit_folder(source, out, **(choices | changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"training": TrainingOptions()}, "5-way tasks of 6 images a class need at least 60: .* training.shot or"),
        ({"training": TrainingOptions(way=2, query=1, steps=0)}, "The choice steps is 0"),
        ({"training": TrainingOptions(way=2, query=1, seed=2**32)}, "The seed is 4294967296"),
        ({"learner": ProtoNetOptions(filters=0)}, "The choice filters is 0"),
        ({"learner": ProtoNetOptions()}, "Images of 8 x 8 vanish"),
        ({"size": 0}, "The size is 0"),
        ({"rounds": 0}, "The number of rounds is 0"),
        ({"encoder": EncoderOptions("classifier")}, "put every image into the folder of its class"),
        ({"partitions": PartitionOptions(clusters=11)}, "11 clusters were asked for; expected between 1 and 10"),
        ({"partitions": PartitionOptions(clusters=10, partitions=1)}, "only 0 clusters with the 2 members"),
    ],
)
def test_refused_and_nothing_left_behind(photos: Path, tmp_path: Path, changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NopalError, match=sentence):
        fit(photos, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_resumed_with_other_images(photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    fit(photos, run)
    config = json.loads((run / "config.json").read_text())
    meter_run(run, str(photos), None, 4, Console(quiet=True))
    (photos / "0.png").rename(photos / "z.png")
    for again in (
        lambda: fit(photos, run, resume=True),
        lambda: meter_run(run, str(photos), None, 4, Console(quiet=True)),
    ):
        with pytest.raises(NopalError, match="was begun with other images than these; give those"):
            again()
    (photos / "z.png").rename(photos / "0.png")
    old = {name: value for name, value in config.items() if name != "digest"}
    (run / "config.json").write_text(json.dumps(old))  # as it was before the digest was written down
    fit(photos, run, resume=True)
    assert json.loads((run / "config.json").read_text()) == config


def test_the_meter_reads_images_as_training_did(photos: Path, tmp_path: Path) -> None:
    """Grey photos are often saved in colour, and fractions of a grey value are rounded otherwise than whole ones."""
    for path in photos.iterdir():
        Image.open(path).convert("RGB").save(path)
    fit(photos, tmp_path / "run", size=4)
    meter_run(tmp_path / "run", str(photos), None, 4, Console(quiet=True))


def test_rounds_have_folders_of_their_own(photos: Path, tmp_path: Path) -> None:
    fit(photos, tmp_path / "run", rounds=2)
    fit(photos, tmp_path / "run", rounds=3, resume=True)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["round-1", "round-2", "round-3"]
    made = load_encoder(tmp_path / "run" / "round-3" / "encoder.npz").made
    assert made["run"]["made"]["encoder"]["run"]["made"]["encoder"]["name"] == "raw"


def test_a_damaged_image_is_named(photos: Path, tmp_path: Path) -> None:
    (photos / "3.png").write_bytes(b"half a picture")
    with pytest.raises(NopalError, match=r"3\.png can't be read"):
        fit(photos, tmp_path / "run")


@pytest.mark.parametrize(
    ("out", "changes", "sentence"),
    [
        ("file/run", {}, r"can't be written \(.*file is no folder\)"),
        ("nowhere/run", {}, r"run would lie within .*nowhere, where its own pictures would count .* a place outside"),
        ("nowhere", {"resume": True}, "would lie within"),
        ("used", {}, "The folder .*used already holds a run; go on with it by --resume"),
        ("rounds", {"rounds": 2}, "The folder .*round-2 already holds a run"),
        ("run", {"training": TrainingOptions(way=-5)}, "The way of a task is -5; expected at least 2"),
        ("run", {"training": TrainingOptions(shot=0)}, "The shot of a task is 0; expected at least 1"),
        ("run", {"training": TrainingOptions(query=0)}, "The query of a task is 0; expected at least 1"),
    ],
)
def test_found_before_images_are_read(tmp_path: Path, out: str, changes: dict[str, Any], sentence: str) -> None:
    (tmp_path / "file").write_text("")
    for used in (tmp_path / "used", tmp_path / "rounds" / "round-2"):
        used.mkdir(parents=True)
        (used / "config.json").write_text("{}")
    with pytest.raises(NopalError, match=sentence):
        fit(tmp_path / "nowhere", tmp_path / out, **changes)


def test_what_is_said(photos: Path, tmp_path: Path) -> None:
    def said(steps: int) -> str:
        console, training = Console(file=io.StringIO(), width=1000), dataclasses.replace(TRAINING, steps=steps)
        fit(photos, tmp_path / "run", console=console, training=training, resume=True)
        return console.file.getvalue()

    assert said(2) == "Clustering 10 images into 2 clusters, 1 times ...\n"
    assert said(2) == f"The run in {tmp_path / 'run'} is finished already, after 2 steps.\n"
    assert said(3) == "Going on with the clusters that are there ...\n"
