"""Hyper-parameters chosen on labelled meta-validation tasks, as CACTUs (Hsu, Levine, Finn 2019) does for its baselines:
for each difficulty by itself, on tasks of classes that are in no test."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxtyping import PRNGKeyArray

from nopal.errors import NopalError
from nopal.evaluation import Scores, evaluate
from nopal.learners.learner import Learner
from nopal.tasks.classification import Classification

Settings = dict[str, Any]


class Tuned(NamedTuple):
    """The best learner, its settings, and the scores of all candidates on the same tasks."""

    learner: Learner
    settings: Settings
    scores: list[Scores]


def grid(**values: Sequence[Any]) -> list[Settings]:
    """Every combination of the values of each hyper-parameter; raises `NopalError` for one without values."""
    for name, of_name in values.items():
        if not of_name:
            raise NopalError(f"The grid of {name} is empty; name at least one value to try.")
    return [dict(zip(values, combination)) for combination in itertools.product(*values.values())]


def tune(
    candidates: Sequence[tuple[Settings, Learner]],
    tasks: Classification | None,
    *,
    key: PRNGKeyArray,
    episodes: int = 200,
) -> Tuned:
    """The candidate with the best mean score on `episodes` of the meta-validation `tasks`, of those that diverged
    on the fewest; the first of equals.

    A single candidate is taken as it is, and needs no tasks. Raises `NopalError` where there is none, or no task to
    choose by.
    """
    if not candidates:
        raise NopalError("There are no hyper-parameters to choose from; name at least one value of each.")
    if len(candidates) == 1:
        return Tuned(candidates[0][1], candidates[0][0], [])
    if tasks is None:
        raise NopalError(
            f"There are {len(candidates)} settings of hyper-parameters to choose from, but no labelled meta-validation "
            "data; name one value of each."
        )
    scores = [evaluate(learner, tasks, key=key, episodes=episodes) for _, learner in candidates]
    best = max(range(len(scores)), key=lambda i: (-scores[i].diverged, scores[i].mean))
    return Tuned(candidates[best][1], candidates[best][0], scores)
