"""A learner's score by the number of steps that it adapts in (as in figure 5 of Yin et al. 2020, arXiv 1912.03820):
whether a few are enough, whether more do harm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxtyping import PRNGKeyArray

from nopal.errors import NopalError
from nopal.evaluation import Scores, evaluate
from nopal.learners.learner import Learner
from nopal.training import Tasks


def evaluate_steps(
    learner: Learner,
    tasks: Tasks,
    steps: Sequence[int],
    *,
    key: PRNGKeyArray,
    episodes: int = 1000,
    devices: int | None = None,
) -> dict[int, Scores]:
    """Scores after each number of steps, on the same tasks; after 0 nothing is adapted.

    Episode i is drawn from `fold_in(key, i)`, as `evaluate` does. Raises `NopalError` for a learner that adapts in no
    steps, and for negative numbers of them or none at all.
    """
    check_steps(learner, steps)
    return {
        number: evaluate(learner, tasks, key=key, episodes=episodes, steps=number, devices=devices)
        for number in sorted(set(steps))
    }


def check_steps(learner: Learner, steps: Sequence[int], name: str = "This learner") -> None:
    """Raises `NopalError` where there is nothing to count; `name` is what the learner is called then."""
    if learner.steps is None:
        raise NopalError(f"{name} adapts in no steps; expected one that descends on the support set, such as MAML.")
    if not steps or min(steps) < 0:
        numbers = ", ".join(map(str, steps)) or "none"
        raise NopalError(f"The numbers of steps are {numbers}; expected at least one, all of them 0 or more.")


def enough_steps(scores: Mapping[int, Scores]) -> int:
    """The fewest steps whose score is not certainly worse than the best mean: the 95% interval of their difference, on
    the same tasks, holds 0. Where some tasks diverged, only those numbers count at which the fewest did."""
    fewest = min(of.diverged for of in scores.values())
    sound = {number: of for number, of in sorted(scores.items()) if of.diverged == fewest}
    sign = 1 if next(iter(sound.values())).metric == "accuracy" else -1
    best = max(sound, key=lambda number: sign * sound[number].mean)
    for number, of in sound.items():
        behind = sound[best].minus(of)
        if not sign * behind.mean > behind.ci95:
            return number
    return best
