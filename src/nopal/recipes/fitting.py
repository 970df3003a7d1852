"""A person's unlabelled images to a few-shot learner, in one call."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from rich.console import Console

from nopal.data import folder as load_folder
from nopal.distributed import from_first
from nopal.errors import NopalError
from nopal.learners.learner import MetaLearner
from nopal.recipes.options import EncoderOptions, MetaLearnerOptions, PartitionOptions, TrainingOptions, to_plain
from nopal.recipes.pipeline import begin_run, class_tasks, make_partitions, meta_train
from nopal.recipes.sources import name_of
from nopal.runs import check_writable


def fit_folder(
    source: Path,
    out: Path,
    size: int,
    encoder: EncoderOptions,
    partitions: PartitionOptions,
    learner: MetaLearnerOptions,
    training: TrainingOptions,
    skip_unreadable: bool,
    resume: bool,
    console: Console,
) -> MetaLearner:
    """Encode, cluster and meta-train into the run folder `out`; labels that the folder's layout may hold are not
    used."""
    from_first(lambda: check_writable(out / "config.json"))
    images = load_folder(source, size=size, labelled=False, skip_unreadable=skip_unreadable, progress=True)
    members = training.shot + training.query
    if len(images) < 2 * training.way * members:
        raise NopalError(
            f"The folder {source} holds {len(images)} images, but {training.way}-way tasks of {members} images a class "
            f"need at least {2 * training.way * members}: bring more images, or lower training.way or training.query."
        )
    partitions = partitions.for_images(len(images), training.way)
    most = min(len(images) - 1, math.prod(images.shape))
    options = dataclasses.replace(encoder, dimensions=min(encoder.dimensions, most))
    made = {"images": name_of(source), "encoder": to_plain(options), "partitions": to_plain(partitions)}
    run = begin_run(out, images.shape, learner, training, made=made, resume=resume)
    console.print(
        f"Clustering {len(images):,} images into {partitions.clusters} clusters, {partitions.partitions} times ..."
    )
    return meta_train(run, class_tasks(run, images.images, make_partitions(run, images, options, partitions)))
