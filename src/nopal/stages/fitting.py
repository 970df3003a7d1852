"""A person's unlabelled images to a few-shot learner, in one call."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from rich.console import Console

from nopal.data import folder as load_folder
from nopal.encoders import MetaLearned
from nopal.errors import NopalError
from nopal.learners.learner import MetaLearner
from nopal.options.experiment import EncoderOptions, PartitionOptions, TrainingOptions
from nopal.options.learners import MetaLearnerOptions
from nopal.options.plain import to_plain
from nopal.stages.beginning import begin_run, check_beginning, digest_of
from nopal.stages.pipeline import class_tasks, is_finished, make_partitions, meta_train
from nopal.stages.rounds import check_rounds, meta_learned_encoder, round_folder
from nopal.stages.sources import name_of


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
    rounds: int = 1,
) -> MetaLearner:
    """Encode, cluster and meta-train into the run folder `out`; labels that the folder's layout may hold are not used
    but by an encoder that is a classifier.

    With more than one of `rounds`, each is a run in a folder of its own, on the vectors of the last one's network.
    """
    check_rounds(rounds)
    folders = [out] if rounds == 1 else [round_folder(out, number) for number in range(1, rounds + 1)]
    for within in folders:
        check_beginning(within, training, source, resume)
    labelled = encoder.name == "classifier"
    images = load_folder(source, size=size, labelled=labelled, skip_unreadable=skip_unreadable, progress=True)
    members = training.shot + training.query
    if len(images) < 2 * training.way * members:
        raise NopalError(
            f"The folder {source} holds {len(images)} images, but {training.way}-way tasks of {members} images a class "
            f"need at least {2 * training.way * members}: bring more images, or lower training.way, training.shot or "
            "training.query."
        )
    partitions = partitions.for_images(len(images), training.way)
    most = min(len(images) - 1, math.prod(images.shape))
    options = dataclasses.replace(encoder, dimensions=min(encoder.dimensions, most))
    digest = digest_of(images.images)
    given: MetaLearned | None = None
    for within in folders:
        described = given.made if given else to_plain(options)
        made = {"images": name_of(source), "encoder": described, "partitions": to_plain(partitions)}
        run = begin_run(within, images.shape, learner, training, made=made, digest=digest, resume=resume)
        if is_finished(run):
            console.print(f"The run in {within} is finished already, after {training.steps:,} steps.", highlight=False)
        elif (within / "partitions.npz").exists():
            console.print("Going on with the clusters that are there ...")
        else:
            times = f"{partitions.clusters} clusters, {partitions.partitions} times"
            console.print(f"Clustering {len(images):,} images into {times} ...")
        divided = make_partitions(run, images, given or options, partitions)
        trained = meta_train(run, class_tasks(run, images.images, divided))
        if within != folders[-1]:
            given = meta_learned_encoder(within, images, name_of(source))
    return trained
