"""Learners out of run folders: what a configuration, its seed and its checkpoints say."""

from __future__ import annotations

import zlib
from pathlib import Path

import jax
import optax
from jaxtyping import PRNGKeyArray

import nopal.options.regularised  # noqa: F401  (so that runs of its learners are known)
from nopal.errors import NopalError
from nopal.learners.learner import MetaLearner
from nopal.options.experiment import TrainingOptions
from nopal.options.learners import MetaLearnerOptions
from nopal.options.plain import from_plain
from nopal.options.tasks import Classes, TaskOptions
from nopal.runs import Checkpoints, RunFolder, load_run
from nopal.training import initial_state, make_optimiser


def key_of(seed: int, stage: str | None = None) -> PRNGKeyArray:
    """The key of a seed, which must be a number of 32 bits, or that of a stage with this seed: what two stages draw
    must not be the same, as key i of `split` and `fold_in` with i are."""
    if not 0 <= seed < 2**32:
        raise NopalError(f"The seed is {seed}; expected a whole number from 0 to {2**32 - 1}.")
    key = jax.random.key(seed)
    return key if stage is None else jax.random.fold_in(key, zlib.crc32(stage.encode()))


def keys(seed: int) -> tuple[PRNGKeyArray, PRNGKeyArray]:
    """The keys of initial weights and of meta-training."""
    first, second = jax.random.split(key_of(seed))
    return first, second


def options_of(run: RunFolder) -> tuple[MetaLearnerOptions, TrainingOptions]:
    """What a run's configuration says; raises `NopalError` where it is of something else."""
    try:
        learner, training, _ = (run.config[name] for name in ("learner", "training", "shape"))
        return from_plain(MetaLearnerOptions, learner), from_plain(TrainingOptions, training)
    except (AttributeError, KeyError, TypeError):
        raise NopalError(
            f"{run.path / 'config.json'} is not that of a learner; expected a folder made by nopal fit, train or run."
        ) from None


def tasks_of(run: RunFolder) -> TaskOptions:
    """What a run's configuration says about its tasks."""
    return from_plain(TaskOptions, run.config["tasks"]) if "tasks" in run.config else Classes()


def fresh_learner(run: RunFolder) -> MetaLearner:
    """The learner of a run as it was before its first step."""
    options, training = options_of(run)
    return options.build(tuple(run.config["shape"]), tasks_of(run).target(training.way), keys(training.seed)[0])


def optimiser_of(training: TrainingOptions) -> optax.GradientTransformation:
    """The optimiser that the options of a run ask for."""
    decay = training.weight_decay, training.decay
    anneal = training.steps if training.anneal else None
    return make_optimiser(training.outer_rate, training.clip, *decay, training.fresh, anneal)


def calibrated_like(learner: MetaLearner) -> MetaLearner:
    """The learner as it is after training: with (empty) running statistics where it uses them."""
    blank = learner.blank_running()
    return learner if blank is None else learner.with_running(blank)


def load(path: str | Path) -> MetaLearner:
    """The learner of a run folder: the finished one, or that of the last checkpoint. Raises `NopalError` where there is
    none."""
    run = load_run(path)
    training, fresh = options_of(run)[1], fresh_learner(run)
    finished = Checkpoints(run.path / "learner", keep=1, read_only=True)
    if finished.latest() is not None:
        return finished.restore(calibrated_like(fresh))
    if run.checkpoints.latest() is None:
        raise NopalError(f"The run in {path} has no checkpoint yet; let it train, or start it again.")
    learner = run.checkpoints.restore(initial_state(fresh, optimiser_of(training))).learner
    if learner.statistics == "running":
        raise NopalError(
            f"The run in {path} is not finished and has no running statistics yet; go on with it by --resume."
        )
    return learner


def image_shape(learner: MetaLearner) -> tuple[int, int, int]:
    """Height, width and channels of the images that the learner's network takes; raises `NopalError` where it takes
    something else."""
    if len(learner.shape) != 3:
        raise NopalError(f"This learner takes inputs of the shape {learner.shape}; expected a learner of images.")
    height, width, channels = learner.shape
    return height, width, channels


def steps_done(run: RunFolder) -> int:
    """Meta-training steps behind the learner that `load` gives."""
    return Checkpoints(run.path / "learner", read_only=True).latest() or run.checkpoints.latest() or 0
