"""Scores by the number of test steps: which runs share a line."""

from __future__ import annotations

from typing import Any

import pytest

from nopal.errors import NopalError
from nopal.report.steps import series_of, steps_figure
from nopal.report.sweep import Point


def run(
    name: str, seed: int, means: tuple[float | None, ...], recipe: str | None = "maml", **other: Any
) -> dict[str, Any]:
    scores = [{"steps": k, "mean": mean, "ci95": 0.2, "diverged": k} for k, mean in enumerate(means)]
    plain = {"run": name, "recipe": recipe, "meta_training_steps": 50, "seed": seed, "metric": "squared_error"}
    return plain | {"scores": scores} | other


def test_seeds_share_a_line_with_the_deviation_between_them() -> None:
    """Means of 3 and 5 are 4 with a deviation of the root of 2."""
    series = series_of([run("a", 0, (3.0, 1.0)), run("b", 1, (5.0, 1.0)), run("c", 0, (7.0, 8.0), "mr-maml")])
    assert list(series) == ["maml, 2 seeds", "c"]
    first, second = series["maml, 2 seeds"]
    assert (first.x, first.mean, first.interval, first.diverged) == (0, 4.0, pytest.approx(2**0.5), 0)
    assert second == Point(1, 1.0, 0.0, 2)
    assert series["c"] == [Point(0, 7.0, 0.2, 0), Point(1, 8.0, 0.2, 1)]


def test_what_does_not_share_a_line() -> None:
    again = run("again", 0, (3.0, 1.0))
    longer = run("longer", 1, (3.0, 1.0), meta_training_steps=90)
    unknown = [run(name, seed, (2.0, 1.0), None) for seed, name in enumerate(("x", "y"))]
    series = series_of([run("a", 0, (3.0, 1.0)), again, longer, *unknown])
    assert list(series) == ["a", "again", "longer", "x", "y"]


def test_steps_after_which_all_diverged() -> None:
    series = series_of([run("a", 0, (3.0, None, None)), run("b", 1, (5.0, 1.0, None))])
    assert series["maml, 2 seeds"][1:] == [Point(1, 1.0, 0.2, 2)]
    with pytest.raises(NopalError, match="expected some"):
        steps_figure([run("a", 0, (None,))])
