"""Test scores of learners, all on the same tasks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from nopal.distributed import check_same
from nopal.errors import NopalError
from nopal.evaluation import Scores, draw_episode, evaluate
from nopal.learners.learner import Learner
from nopal.partitions import from_labels
from nopal.recipes.recipe import Difficulty, Published
from nopal.runs import Score
from nopal.tasks.classification import Classification
from nopal.tasks.poses import Poses
from nopal.training import Tasks

EVALUATION_SEED = 6
"""One seed for all test tasks, so that every learner meets the same ones."""
VALIDATION_SEED = 7
"""Another one for the tasks on which a learner is tried while it is trained."""
TEST_QUERIES = 5
METER_TASKS = 100
"""Training tasks of a reading of the meter in a record."""

TasksAt = Callable[[Difficulty], Tasks]
"""From a difficulty to the tasks of it."""


def labelled(x: Any, labels: np.ndarray, name: str = "The test set") -> TasksAt:
    """Tasks of the classes of labelled images or vectors `x`; an error that says they are too few calls them `name`."""
    check_same(np.asarray(x), "labelled images")
    classes = from_labels(labels)
    sizes = np.asarray(classes.sizes[0])

    def tasks_at(at: Difficulty) -> Classification:
        (way, shot), needed = at, at[1] + TEST_QUERIES
        enough = int((sizes >= needed).sum())
        if enough < way:
            raise NopalError(
                f"{name} has {(sizes > 0).sum()} classes, {enough or 'none'} of them of {needed} images or more (the "
                f"largest has {sizes.max()}); {way}x{shot} needs {way} classes of {needed} images ({shot} labelled and "
                f"{TEST_QUERIES} to ask about): lower --at or bring more images."
            )
        return Classification(x, classes, way=way, shot=shot, query=TEST_QUERIES)

    return tasks_at


def measure(
    learner: Learner | Callable[[Difficulty], Learner],
    tasks_at: TasksAt,
    difficulties: Sequence[Difficulty],
    *,
    episodes: int = 1000,
    report: Callable[[Difficulty, Scores], Any] = lambda difficulty, scores: None,
) -> dict[Difficulty, Scores]:
    """Scores at each difficulty; the same tasks for every learner.

    `learner` may be a function of the difficulty, for learners that are chosen for each. Poses are scored the shorter
    way round, too. Raises `NopalError` before the first is measured where there are no tasks of a difficulty, or tasks
    that the learner can't answer.
    """
    found = {}
    for at in difficulties:
        tasks = tasks_at(at)
        if isinstance(learner, Learner):
            eqx.filter_eval_shape(_answer, learner, tasks)
    for at in difficulties:
        of_task = learner if isinstance(learner, Learner) else learner(at)
        tasks = tasks_at(at)
        others = tasks.other_targets if isinstance(tasks, Poses) else ()
        found[at] = evaluate(of_task, tasks, key=jax.random.key(EVALUATION_SEED), episodes=episodes, others=others)
        report(at, found[at])
    return found


def _answer(learner: Learner, tasks: Tasks) -> Float[Array, "m parameters"]:
    episode, noise = draw_episode(tasks, jax.random.key(EVALUATION_SEED), 0)
    return learner.answer(episode, key=noise)


def as_score(difficulty: Difficulty, scores: Scores, published: Published | None = None) -> Score:
    """As a record holds it: accuracies in percent."""
    way, shot = difficulty
    if scores.diverged > len(scores.values) - 2:
        left = "every test task" if scores.diverged == len(scores.values) else "all but one test task"
        raise NopalError(
            f"Adaptation diverged in {left}, so there is no score; lower the inner rate or take fewer steps."
        )
    scale, digits = (100, 3) if scores.metric == "accuracy" else (1, 5)
    means = None
    if scores.group_means is not None:
        means = tuple(round(scale * mean, digits) if math.isfinite(mean) else None for mean in scores.group_means)
    return Score(
        metric=scores.metric,
        mean=round(scale * scores.mean, digits),
        ci95=round(scale * scores.ci95, digits),
        tasks=len(scores.values),
        statistics=scores.statistics,
        way=way or None,
        shot=shot if way else None,
        points=None if way else shot,
        published=published.mean if published else None,
        published_source=published.source if published else None,
        diverged=scores.diverged,
        group_means=means,
    )
