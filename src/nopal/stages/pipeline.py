"""The stages between images and a learner, each in its own file of a run folder, so that any of them can be replaced or
taken up again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float

from nopal.data.images import ImageSet
from nopal.distributed import check_same, from_first, is_first, several
from nopal.encoders import Encoder
from nopal.errors import NopalError
from nopal.learners.learner import MetaLearner
from nopal.loop import Hook, Moment
from nopal.options.experiment import EncoderOptions, PartitionOptions
from nopal.partitions import Partitions, from_hyperplanes, from_kmeans, from_labels, from_random_labels
from nopal.report import cluster_sheet, contact_sheet, write_picture
from nopal.runs import Checkpoints, Every, Interrupts, Progress, RunFolder
from nopal.runs.packing import pack, unpack
from nopal.stages.beginning import undone_if_refused
from nopal.stages.encoding import fit_encoder, is_trained
from nopal.stages.loading import calibrated_like, fresh_learner, key_of, keys, optimiser_of, options_of
from nopal.stages.trials import METERED, Trial
from nopal.stages.watching import progress_of, watched
from nopal.tasks.classification import Classification
from nopal.training import Tasks, initial_state, train


def cluster(vectors: Float[np.ndarray, "n d"] | Float[Array, "n d"], options: PartitionOptions) -> Partitions:
    """Partitions as `options` say; raises `NopalError` for those that have no meaning for this way to divide."""
    check_meaning(options)
    options, key = options.for_images(len(vectors)), key_of(options.seed, "partitions")
    clusters: int = options.clusters  # type: ignore[assignment]
    if options.how == "random":
        return from_random_labels(len(vectors), clusters=clusters, partitions=options.partitions, key=key)
    if options.how == "hyperplanes":
        return from_hyperplanes(
            vectors,
            way=clusters,
            partitions=options.partitions,
            margin=options.margin,
            min_members=options.min_members or 6,
            reach=options.reach,
            unit=options.unit,
            key=key,
        )
    with Progress(options.partitions * options.repeats, label="cluster", unit="partition") as progress:

        def watch(done: int, total: int) -> None:
            progress.grow(total)
            progress(Moment(done, None, {}))

        return from_kmeans(
            vectors,
            clusters=clusters,
            partitions=options.partitions,
            scaled=options.scaled,
            min_members=options.min_members,
            min_kept=options.min_kept,
            repeats=options.repeats,
            key=key,
            watch=watch,
        )


def check_meaning(options: PartitionOptions) -> None:
    """Raises `NopalError` for a choice that belongs to another way to divide vectors."""
    plain = PartitionOptions()
    ways = {
        "margin": "hyperplanes",
        "reach": "hyperplanes",
        "unit": "hyperplanes",
        "min_kept": "kmeans",
        "repeats": "kmeans",
    }
    for name, how in ways.items():
        if options.how != how and getattr(options, name) != getattr(plain, name):
            raise NopalError(
                f"The choice {name} is {getattr(options, name)}, which means nothing where vectors are divided by "
                f"{options.how}; leave it out, or divide them by {how}."
            )


Encoded = dict[EncoderOptions | None, tuple[Encoder, Float[np.ndarray, "n d"]]]
"""Encoders that were fitted already (one that was given under None), and the vectors of the meta-training images."""


def make_partitions(
    run: RunFolder,
    images: ImageSet,
    encoder: EncoderOptions | Encoder | None,
    partitions: PartitionOptions | None,
    encoded: Encoded | None = None,
) -> Partitions:
    """Partitions from labels or, where options are given, of encoded images (random ones need no encoder); those are
    kept in the run folder. `encoder` may be one that is fitted already.

    Runs that go side by side share the work by `encoded`. Several processes train an encoder together; all else the
    first makes for all.
    """
    if partitions is None:
        return from_labels(images.need_labels())
    kept, encoded = run.path / "partitions.npz", {} if encoded is None else encoded
    key = encoder if isinstance(encoder, EncoderOptions) else None
    data = f"{len(images)} meta-training images"

    def make() -> dict[str, Any]:
        if kept.exists():
            return Partitions.load(kept).as_arrays()
        if encoder is None:
            if partitions.how != "random":
                raise NopalError(f"Partitions by {partitions.how} need vectors; name an encoder.")
            made = cluster(np.zeros((len(images), 1), np.float32), partitions)
            made.save(kept)
            return made.as_arrays()
        if key not in encoded:
            encode = fit_encoder(images, encoder, data) if isinstance(encoder, EncoderOptions) else encoder
            encoded[key] = encode, encode(images.images)
        encode, vectors = encoded[key]
        encode.save(run.path / "encoder.npz")
        made = cluster(vectors, partitions)
        made.save(kept)
        draw_clusters(images, made, run.path / "clusters.png")
        return made.as_arrays()

    with undone_if_refused(run):
        if is_trained(encoder) and not from_first(lambda: {"kept": int(kept.exists())})["kept"]:
            encoder = fit_encoder(images, encoder, data, folder=run.path / "encoder", resume=True)
        return Partitions.from_arrays(from_first(make))


def class_tasks(run: RunFolder, x: np.ndarray | Array, partitions: Partitions) -> Classification:
    """The meta-training tasks of a run from partitions of images or vectors; `x` may be an array that several runs have
    in common."""
    check_same(np.asarray(x), "images")
    options = options_of(run)[1]
    with undone_if_refused(run):
        return Classification(x, partitions, way=options.way, shot=options.shot, query=options.query)


def is_finished(run: RunFolder) -> bool:
    """Whether there is nothing left to train."""
    return Checkpoints(run.path / "learner", read_only=True).latest() == options_of(run)[1].steps


class Training:
    """A run about to be meta-trained, or to go on from its last checkpoint."""

    def __init__(self, run: RunFolder, tasks: Tasks):
        self.run, self.tasks = run, tasks
        self.options = options_of(run)[1]
        self.key = keys(self.options.seed)[1]
        self.fresh = fresh_learner(run)
        self.optimiser = optimiser_of(self.options)
        self.kept = Checkpoints(run.path / "learner", keep=1)
        self.finished = is_finished(run)
        if self.finished:
            return
        self.start = run.checkpoints.latest() or 0
        self.state = initial_state(self.fresh, self.optimiser)
        if self.start:
            self.state = run.checkpoints.restore(self.state, self.start)
        elif several():
            packed = from_first(lambda: {"bytes": pack(self.state)})["bytes"]
            self.state = unpack(packed, self.state)

    def learner(self) -> MetaLearner:
        """That of a finished run."""
        return self.kept.restore(calibrated_like(self.fresh))

    @property
    def chunk(self) -> int:
        return min(self.run.config["every"], 20)

    @contextlib.contextmanager
    def hooks(self, validation: Tasks | None, share: float = 1.0, of: str = "") -> Iterator[list[Hook]]:
        """What is logged, saved and tried between chunks; the first process alone writes files."""
        if is_first() and isinstance(self.tasks, Classification) and self.tasks.x.ndim == 4:
            draw_tasks(self.tasks, self.run.path / "tasks.png")
        with watched(self.run, self.options.steps, self.start, share, of) as (log, hooks):
            steps = self.options.steps
            metered = steps * self.options.tasks_per_step >= METERED
            trial = Trial(self.tasks, validation, log, metered=metered, last=steps)
            yield hooks(Every(max(steps // 10, 1), trial, last=steps))


def meta_train(
    run: RunFolder, tasks: Tasks, *, validation: Tasks | None = None, label: str = "meta-training"
) -> MetaLearner:
    """Meta-train on `tasks` as the run's configuration says, or go on from its last checkpoint; a finished run's
    learner is returned as it is.

    Metrics, checkpoints, a picture of a task and the learner go into the run folder. The `validation` tasks are tried
    ten times in the run. Raises `Interrupted` after Ctrl-C and `NopalError` where the loss is no longer a number.
    """
    training = Training(run, tasks)
    if training.finished:
        return training.learner()
    options = training.options
    with (
        training.hooks(validation) as hooks,
        progress_of(options.steps, training.start, label, tasks.target.metric) as progress,
        Interrupts(run.checkpoints) as interrupts,
    ):
        trained = train(
            training.fresh,
            training.tasks,
            steps=options.steps,
            tasks_per_step=options.tasks_per_step,
            optimiser=training.optimiser,
            key=training.key,
            hooks=[*hooks, *progress, interrupts],
            chunk=training.chunk,
            state=training.state,
            start=training.start,
        )
    training.kept.save(options.steps, trained)
    return trained


def draw_clusters(images: ImageSet, partitions: Partitions, path: Path) -> None:
    """Some clusters of the first partition, as a picture."""
    write_picture(cluster_sheet(images.images, partitions), path, dpi=120)


def draw_tasks(tasks: Classification, path: Path) -> None:
    """A contact sheet of one task, as a picture."""
    rows = np.asarray(tasks.draw(jax.random.key(0)))
    shown = rows[: min(10, tasks.way), : tasks.shot + min(5, tasks.query)]
    figure = contact_sheet(np.asarray(tasks.x)[shown], shot=tasks.shot)
    write_picture(figure, path, dpi=120)
