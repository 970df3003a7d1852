"""The stages between images and a learner, each in its own file of a run folder, so that any of them can be replaced or
taken up again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from nopal.data.images import ImageSet
from nopal.encoders import Encoder
from nopal.errors import NopalError
from nopal.evaluation import evaluate
from nopal.learners.learner import MetaLearner
from nopal.loop import Hook, Moment
from nopal.partitions import Partitions, from_kmeans, from_labels
from nopal.recipes.encoding import fit_encoder
from nopal.recipes.loading import calibrated_like, key_of, keys, options_of
from nopal.recipes.measuring import EVALUATION_SEED, TEST_QUERIES
from nopal.recipes.options import (
    EncoderOptions,
    MetaLearnerOptions,
    PartitionOptions,
    TrainingOptions,
    check_positive,
    to_plain,
)
from nopal.recipes.watching import refuse_fewer, watched
from nopal.report import contact_sheet
from nopal.runs import Checkpoints, Every, MetricsLog, RunFolder, open_run
from nopal.tasks.classification import Classification
from nopal.training import calibrate, initial_state, make_optimiser, train


def cluster(vectors: Float[np.ndarray, "n d"] | Float[Array, "n d"], options: PartitionOptions) -> Partitions:
    """Partitions by k-means as `options` say."""
    options = options.for_images(len(vectors))
    return from_kmeans(
        vectors,
        clusters=options.clusters,  # type: ignore[arg-type]
        partitions=options.partitions,
        scaled=options.scaled,
        min_members=options.min_members,
        min_kept=options.min_kept,
        key=key_of(options.seed),
    )


def begin_run(
    path: str | Path,
    shape: tuple[int, int, int],
    learner: MetaLearnerOptions,
    training: TrainingOptions,
    *,
    made: dict[str, Any],
    every: int = 100,
    resume: bool = False,
) -> RunFolder:
    """A run folder with everything that decides the result in `config.json`; `made` says where the tasks come from.

    `every` is the number of steps between checkpoints and log lines. With `resume`, the run that is there goes on,
    perhaps for more steps. Raises `NopalError` for a folder that is in use or can't be written, and for options that
    make no learner, before anything is written.
    """
    check_positive(learner, "filters", "epsilon")
    check_positive(training, "tasks_per_step", "steps", "outer_rate", "clip")
    if every < 1:
        raise NopalError(f"Checkpoints are to be written every {every} steps; expected at least 1.")
    eqx.filter_eval_shape(learner.build, shape, training.way, keys(training.seed)[0])
    if resume:
        refuse_fewer(Path(path), training.steps)
    choices = {"learner": to_plain(learner), "training": to_plain(training)}
    config = choices | {"shape": shape, "made": made, "every": every}
    return open_run(path, config, resume=resume, may_differ=["training.steps"])


def make_partitions(
    run: RunFolder,
    images: ImageSet,
    encoder: EncoderOptions | Encoder | None,
    partitions: PartitionOptions | None,
) -> Partitions:
    """Partitions from labels or, where there are options, from k-means on images encoded by an encoder that is there or
    to be fitted; both are kept in the run folder."""
    if encoder is None or partitions is None:
        return from_labels(images.need_labels())
    kept = run.path / "partitions.npz"
    if kept.exists():
        return Partitions.load(kept)
    with _undone_if_refused(run):
        data, folder = f"{len(images)} meta-training images", run.path / "encoder"
        if isinstance(encoder, EncoderOptions):
            encoder = fit_encoder(images, encoder, data, folder=folder, resume=True)
        encoder.save(run.path / "encoder.npz")
        made = cluster(encoder(images.images), partitions)
        made.save(kept)
    return made


@contextlib.contextmanager
def _undone_if_refused(run: RunFolder) -> Iterator[None]:
    """A run that is refused before its first step leaves nothing behind, so that its folder can be used again."""
    try:
        yield
    except NopalError:
        if not run.metrics.exists() and not (run.path / "encoder").exists():
            for name in ("config.json", "environment.json", "encoder.npz", "partitions.npz"):
                (run.path / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                run.path.rmdir()
        raise


def meta_train(
    run: RunFolder,
    images: ImageSet,
    partitions: Partitions,
    *,
    validation: ImageSet | None = None,
    label: str = "meta-training",
) -> MetaLearner:
    """Meta-train as the run's configuration says, or go on from its last checkpoint; a finished run's learner is
    returned as it is.

    Metrics, checkpoints, a picture of a task and the learner go into the run folder. `validation` are labelled images
    whose tasks are tried ten times in the run. Raises `Interrupted` after Ctrl-C and `NopalError` where the loss is no
    longer a number.
    """
    options, training = options_of(run)
    with _undone_if_refused(run):
        tasks = Classification(images.images, partitions, way=training.way, shot=training.shot, query=training.query)
    weights, key = keys(training.seed)
    fresh = options.build(images.shape, training.way, weights)
    finished = Checkpoints(run.path / "learner", keep=1)
    if finished.latest() == training.steps:
        return finished.restore(calibrated_like(fresh))
    optimiser = make_optimiser(training.outer_rate, training.clip)
    state = initial_state(fresh, optimiser)
    start = run.checkpoints.latest() or 0
    if start:
        state = run.checkpoints.restore(state, start)
    draw_tasks(tasks, run.path / "tasks.png")
    with watched(run, training.steps, start, label) as (log, hooks):
        own: list[Hook] = []
        if validation is not None:
            own.append(Every(max(training.steps // 10, 1), validate_on(validation, tasks, log)))
        trained = train(
            fresh,
            tasks,
            steps=training.steps,
            tasks_per_step=training.tasks_per_step,
            optimiser=optimiser,
            key=key,
            hooks=hooks(*own),
            chunk=min(run.config["every"], 20),
            state=state,
            start=start,
        )
    finished.save(training.steps, trained)
    return trained


def validate_on(images: ImageSet, training: Classification, log: MetricsLog) -> Callable[[Moment], None]:
    """A function that logs the score on 50 labelled tasks of `images`, as difficult as those of `training`."""
    way = min(training.way, len(images.classes))
    classes = from_labels(images.need_labels())
    tasks = Classification(images.images, classes, way=way, shot=training.shot, query=TEST_QUERIES)
    key = jax.random.key(EVALUATION_SEED)

    def validate(moment: Moment) -> None:
        learner = calibrate(moment.state.learner, training, key=key, episodes=20)
        scores = evaluate(learner, tasks, key=key, episodes=50)
        log.log(moment.step, {"validation_score": scores.mean})

    return validate


def draw_tasks(tasks: Classification, path: Path) -> None:
    """A contact sheet of one task, as a picture."""
    rows = np.asarray(tasks.draw(jax.random.key(0)))
    shown = rows[: min(10, tasks.way), : tasks.shot + min(5, tasks.query)]
    figure = contact_sheet(np.asarray(tasks.x)[shown], shot=tasks.shot)
    figure.savefig(path, dpi=120)
