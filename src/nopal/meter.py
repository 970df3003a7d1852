"""The memorisation meter: how much a learner's predictions depend on the support set, on tasks like those of its
meta-training (the failure is that of Yin et al. 2020, arXiv 1912.03820)."""

from __future__ import annotations

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nopal.errors import NopalError
from nopal.learners.learner import Learner
from nopal.mapping import device_mesh, map_over_tasks, replicate
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Categorical
from nopal.training import Tasks

MEMORISING = 0.2
"""A learner counts as memorising that loses less than this share of its gain with the support set of another task."""
MEMORISED = 0.1
"""The same without any support set: less, for what all tasks have in common is known before, as it should be."""
RESAMPLES = 1000
BLOCK = 16
"""Tasks that a compiled program measures, so that readings of all numbers of tasks share one."""

Values = Float[np.ndarray, "tasks"]


@dataclasses.dataclass(frozen=True, eq=False)
class Reading:
    """Mean query scores of the same tasks: after adapting to their support set (`right`), before any adaptation (None
    where a learner predicts nothing then), after adapting to the support set with its labels `shuffled`, and to that of
    another task (`foreign`). `guess` is the score of the best constant prediction.

    Gain is how far a mean score is above (an error: below) that of the guess. `reliance` is the share of the right
    support set's gain that is lost with the foreign one, brought into 0 to 1: 0 where predictions are as good with
    another task's support set, 1 where all that is better than guessing comes from the task's own. It is None where the
    right support set gains nothing for certain. `low` and `high` are its 95% interval, by bootstrap over tasks.

    Shuffled labels are no part of it: a learner that tells the task by labels alone loses nothing by them though it
    memorises nothing, and one that has memorised its tasks may lose all, for adaptation leads it astray.
    """

    metric: str
    right: Values
    before: Values | None
    shuffled: Values
    foreign: Values
    guess: float
    reliance: float | None
    low: float | None
    high: float | None
    memorising: bool
    """whether the learner is certainly better than guessing and loses almost nothing of that with another task's
    support set, or has it before it adapts"""

    def as_dict(self) -> dict[str, Any]:
        """As a record holds it: mean scores, accuracies in percent."""
        scale, digits = (100, 3) if self.metric == "accuracy" else (1, 5)
        scores = self.means() | {"guess": self.guess}
        ends = {"reliance": self.reliance, "low": self.low, "high": self.high}
        return {
            "metric": self.metric,
            "tasks": len(self.right),
            **{name: None if mean is None else round(scale * mean, digits) for name, mean in scores.items()},
            **{name: None if end is None else round(end, 4) for name, end in ends.items()},
        }

    def means(self) -> dict[str, float | None]:
        """The mean scores by name."""
        values = {"right": self.right, "before": self.before, "shuffled": self.shuffled, "foreign": self.foreign}
        return {name: None if of is None else float(of.mean()) for name, of in values.items()}

    def __str__(self) -> str:
        """The index with its interval."""
        if self.reliance is None:
            return "undefined: with the right support set it is no better than guessing"
        return f"{self.reliance:.2f} ({self.low:.2f} to {self.high:.2f})"


def read_meter(
    learner: Learner,
    tasks: Tasks,
    *,
    key: PRNGKeyArray,
    episodes: int = 200,
    steps: int | None = None,
    devices: int | None = None,
) -> Reading:
    """Measure a learner on `episodes` of the tasks, which should be those of its meta-training.

    Episode i is drawn from `fold_in(key, i)`. `steps` overrides the number of inner steps. Raises `NopalError` for
    fewer than two episodes.
    """
    if episodes < 2:
        raise NopalError(f"The number of tasks for the meter is {episodes}; expected at least 2 (200 is plenty).")
    mesh = device_mesh(devices)
    predicts = predicts_before(learner, tasks)
    learner, tasks, key = replicate((learner, tasks, key), mesh)
    firsts = (replicate(jnp.int32(first), mesh) for first in range(0, episodes, BLOCK))
    blocks = [_measure(learner, tasks, key, first, steps, predicts, mesh) for first in firsts]
    found = {name: np.concatenate([block[name] for block in blocks])[:episodes] for name in blocks[0]}
    target = tasks.target

    def guesses(weights: Float[np.ndarray, "n tasks"]) -> Float[np.ndarray, "n"]:
        if isinstance(target, Categorical):
            return np.full(len(weights), 1 / target.way)
        return weights @ found["square"] - ((weights @ found["mean"]) ** 2).mean(1)

    even = np.full((1, episodes), 1 / episodes)
    guess = float(guesses(even)[0])
    # An inner loop that diverged, as it may with a wrong support set, is as good as a guess.
    scores = {name: np.nan_to_num(of.astype(float), nan=guess, posinf=guess) for name, of in found.items()}
    right, shuffled, foreign = (scores[name] for name in ("right", "shuffled", "foreign"))
    sign = 1 if target.metric == "accuracy" else -1
    draws = np.random.default_rng(0).multinomial(episodes, even[0], RESAMPLES) / episodes

    def gain(values: Values, weights: Float[np.ndarray, "n tasks"]) -> Float[np.ndarray, "n"]:
        return sign * (weights @ values - guesses(weights))

    def lost(weights: Float[np.ndarray, "n tasks"], without: Values) -> Float[np.ndarray, "n"]:
        """The share of the gain that goes with what is missing."""
        return np.clip(1 - gain(without, weights) / np.maximum(gain(right, weights), np.finfo(float).tiny), 0, 1)

    def certain(values: Values) -> bool:
        return bool(np.quantile(gain(values, draws), 0.025) > 0)

    reliance = low = high = None
    memorising = False
    if certain(right):
        reliance = float(lost(even, foreign)[0])
        low, high = map(float, np.quantile(lost(draws, foreign), (0.025, 0.975)))
        memorising = high < MEMORISING
    if "before" in scores and certain(scores["before"]):
        memorising |= bool(np.quantile(lost(draws, scores["before"]), 0.975) < MEMORISED)
    return Reading(
        target.metric, right, scores.get("before"), shuffled, foreign, guess, reliance, low, high, memorising
    )


def predicts_before(learner: Learner, tasks: Tasks) -> bool:
    """Whether the learner predicts anything without a support set."""

    def predict(learner: Learner, tasks: Tasks, key: PRNGKeyArray) -> Array:
        return learner.adapt(None, key=key)(tasks.sample(key).query.x)

    try:
        eqx.filter_eval_shape(predict, learner, tasks, jax.random.key(0))
    except NopalError:
        return False
    return True


@eqx.filter_jit
def _measure(
    learner: Learner,
    tasks: Tasks,
    key: PRNGKeyArray,
    first: Int[Array, ""],
    steps: int | None,
    predicts: bool,
    mesh: Mesh,
) -> dict[str, Array]:
    """The scores of `BLOCK` tasks from the `first`."""
    arrays, static = eqx.partition((learner, tasks, key, first), eqx.is_array)

    def of_episode(arrays: Any, number: Int[Array, ""]) -> dict[str, Array]:
        learner, tasks, key, first = eqx.combine(arrays, static)
        draw, other, order, noise = jax.random.split(jax.random.fold_in(key, first + number), 4)
        episode: Episode = tasks.sample(draw)
        support, query = episode.support, episode.query

        def score(known: Examples | None) -> Float[Array, ""]:
            outputs = learner.adapt(known, key=noise, steps=steps)(query.x)
            if known is None:  # there may be more classes than this task has
                outputs = outputs[:, : query.target.width]
            return query.target.score(outputs, query.y).mean()

        mixed = Examples(support.x, jax.random.permutation(order, support.y), support.target)
        # One after the other, so that the inner loop is compiled once.
        supports = jax.tree.map(lambda *leaves: jnp.stack(leaves), support, mixed, tasks.sample(other).support)
        right, shuffled, foreign = jax.lax.map(score, supports)
        found = {"right": right, "shuffled": shuffled, "foreign": foreign}
        if predicts:
            found["before"] = score(None)
        if not isinstance(query.target, Categorical):
            y = query.y.reshape(len(query.y), -1)
            found |= {"mean": y.mean(0), "square": jnp.mean(y**2)}
        return found

    return map_over_tasks(of_episode, arrays, BLOCK, mesh)
