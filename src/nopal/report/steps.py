"""Scores by the number of test steps, as `nopal steps` writes them, in a picture."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nopal.report.sweep import Point, sweep_figure

Run = Mapping[str, Any]


def steps_figure(runs: Sequence[Run]) -> Figure:
    """A line for each run, or for all that differ by their seeds alone; raises `NopalError` where none has a score."""
    return sweep_figure(series_of(runs), over="steps on the support set", metric=runs[0]["metric"])


def series_of(runs: Sequence[Run]) -> dict[str, list[Point]]:
    """The points of each line by its name. Of several seeds they are means over seeds, and standard deviations between
    them in the place of intervals; steps after which all tasks diverged have none."""
    groups: dict[Hashable, list[Run]] = {}
    for i, run in enumerate(runs):
        alike = [run["recipe"], run["meta_training_steps"], [score["steps"] for score in run["scores"]]]
        # Made twice: no further evidence, so no further seed.
        again = sum((other["recipe"], other["seed"]) == (run["recipe"], run["seed"]) for other in runs[:i])
        groups.setdefault(str([*alike, again]) if run["recipe"] else run["run"], []).append(run)
    series = {}
    for group in groups.values():
        name = group[0]["run"] if len(group) == 1 else f"{group[0]['recipe']}, {len(group)} seeds"
        series[name] = [_point(scores) for scores in zip(*(run["scores"] for run in group)) if _left(scores)]
    return series


def _left(scores: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [score for score in scores if score["mean"] is not None]


def _point(scores: Sequence[Mapping[str, Any]]) -> Point:
    """Of the same number of steps in all seeds."""
    means = [score["mean"] for score in _left(scores)]
    interval = float(np.std(means, ddof=1)) if len(means) > 1 else _left(scores)[0]["ci95"] or 0.0
    return Point(scores[0]["steps"], float(np.mean(means)), interval, sum(score["diverged"] for score in scores))
