"""Judging learners: the mean score over many tasks with its 95% interval, and differences on the same tasks."""

from __future__ import annotations

import dataclasses
import math
from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from nopal.errors import NopalError
from nopal.learners.learner import Learner
from nopal.mapping import device_mesh, map_over_tasks, replicate
from nopal.numerics.intervals import interval_over_groups
from nopal.tasks.episode import Episode
from nopal.tasks.target import Target
from nopal.training import Tasks


@runtime_checkable
class Grouped(Protocol):
    """Tasks of which many are about the same thing, one of `groups`, and so have more in common than chance."""

    @property
    def groups(self) -> int: ...

    def group(self, key: PRNGKeyArray) -> Int[Array, ""]:
        """That of the task which `sample` draws from this key."""
        ...


@dataclasses.dataclass(frozen=True, eq=False)
class Scores:
    """One score for each task, a fraction for accuracies.

    Adaptation can diverge, so that a task's error is no finite number; mean and interval are then those of the other
    tasks, and `diverged` says how many are left out. Where tasks are `Grouped`, `group_means` has the mean of each
    group (NaN where none of its tasks is left), and the interval is that of further tasks of the same groups.
    """

    values: Float[np.ndarray, "tasks"]
    metric: str
    statistics: str
    others: tuple[Scores, ...] = ()
    """The same predictions by other measures."""
    group_means: Float[np.ndarray, "groups"] | None = None

    @property
    def diverged(self) -> int:
        return int((~np.isfinite(self.values)).sum())

    @property
    def mean(self) -> float:
        return float(self._finite.mean()) if len(self._finite) else math.nan

    @property
    def _finite(self) -> Float[np.ndarray, "finite"]:
        return self.values[np.isfinite(self.values)]

    @property
    def ci95(self) -> float:
        """Half the width of the 95% interval of the mean: 1.96 standard deviations over the root of the number of
        tasks."""
        count = len(self._finite)
        return 1.96 * float(self._finite.std()) / math.sqrt(count) if count > 1 else math.inf

    def minus(self, other: Scores) -> Scores:
        """Differences task by task; both must have been measured with the same key, so that the tasks are the same."""
        if len(self.values) != len(other.values):
            raise NopalError(
                f"{len(self.values)} tasks can't be paired with {len(other.values)}; evaluate both on the same tasks."
            )
        means = None
        if self.group_means is not None and other.group_means is not None:
            means = self.group_means - other.group_means
        with np.errstate(invalid="ignore"):  # of tasks that diverged for both
            values = self.values - other.values
        return Scores(values, self.metric, f"{self.statistics} - {other.statistics}", group_means=means)

    def __str__(self) -> str:
        scale = 100 if self.metric == "accuracy" else 1
        text = f"{scale * self.mean:.2f} ± {scale * self.ci95:.2f}"
        if self.group_means is not None:
            interval = interval_over_groups(self.group_means)
            text += f", over {np.isfinite(self.group_means).sum()} groups ± {scale * interval:.2f}"
        return f"{text} ({self.diverged} of {len(self.values)} tasks diverged)" if self.diverged else text


def check_episodes(episodes: int) -> None:
    """Raises `NopalError` for so few test tasks that there is no interval."""
    if episodes < 2:
        raise NopalError(f"The number of test tasks is {episodes}; expected at least 2 (1000 is customary).")


def evaluate(
    learner: Learner,
    tasks: Tasks,
    *,
    key: PRNGKeyArray,
    episodes: int = 1000,
    steps: int | None = None,
    others: tuple[Target, ...] = (),
    devices: int | None = None,
    at_once: int | None = None,
) -> Scores:
    """The learner's mean query score on each of `episodes` tasks.

    Episode i is that of `draw_episode`: learners evaluated with one key meet the same tasks, also when some see
    images and others vectors of them. `steps` overrides the number of inner steps; by the targets `others` the same
    predictions are scored, too; `at_once` is that of `train`. Raises `NopalError` for fewer than two episodes.
    """
    check_episodes(episodes)
    members = _members(tasks, key, episodes) if isinstance(tasks, Grouped) else None
    mesh = device_mesh(devices)
    learner, tasks, key = replicate((learner, tasks, key), mesh)
    targets = (tasks.target, *others)
    # In double precision, as the square of one huge error would be infinite in single.
    values = np.asarray(_scores(learner, tasks, key, episodes, steps, targets, mesh, at_once), float)
    first, *rest = (
        Scores(of, target.metric, learner.statistics, group_means=None if members is None else _means(of, members))
        for of, target in zip(values.T, targets)
    )
    return dataclasses.replace(first, others=tuple(rest))


def draw_episode(tasks: Tasks, key: PRNGKeyArray, number: Int[Array, ""] | int) -> tuple[Episode, PRNGKeyArray]:
    """Test task `number` of `evaluate` with that key, and the key of what a learner draws for it."""
    draw, noise = _keys(key, number)
    return tasks.sample(draw), noise


def _keys(key: PRNGKeyArray, number: Int[Array, ""] | int) -> tuple[PRNGKeyArray, PRNGKeyArray]:
    draw, noise = jax.random.split(jax.random.fold_in(key, number))
    return draw, noise


def _members(tasks: Grouped, key: PRNGKeyArray, episodes: int) -> Bool[np.ndarray, "groups tasks"]:
    """Which test tasks each group has."""
    group = jax.lax.map(lambda number: tasks.group(_keys(key, number)[0]), jnp.arange(episodes))
    return np.arange(tasks.groups)[:, None] == np.asarray(group)


def _means(
    values: Float[np.ndarray, "tasks"], members: Bool[np.ndarray, "groups tasks"]
) -> Float[np.ndarray, "groups"]:
    of_groups = (values[tasks & np.isfinite(values)] for tasks in members)
    return np.array([of.mean() if len(of) else np.nan for of in of_groups], float)


@eqx.filter_jit
def _scores(
    learner: Learner,
    tasks: Tasks,
    key: PRNGKeyArray,
    episodes: int,
    steps: int | None,
    targets: tuple[Target, ...],
    mesh: jax.sharding.Mesh,
    at_once: int | None,
) -> Float[Array, "episodes targets"]:
    arrays, static = eqx.partition((learner, tasks, key), eqx.is_array)

    def score(arrays: tuple, number: Int[Array, ""]) -> Float[Array, "targets"]:
        learner, tasks, key = eqx.combine(arrays, static)
        episode, noise = draw_episode(tasks, key, number)
        outputs = learner.answer(episode, key=noise, steps=steps)
        return jnp.stack([target.score(outputs, episode.query.y).mean() for target in targets])

    return map_over_tasks(score, arrays, episodes, mesh, at_once)
