"""Scores against a choice that was varied, such as the strength of regularisation or the number of test steps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from nopal.errors import NopalError
from nopal.report.curves import PALETTE, finish
from nopal.report.page import INK

WIDE = 20
"""Errors of which the largest is this many times the smallest are drawn by their logarithms."""


@dataclasses.dataclass(frozen=True)
class Point:
    """What was measured at one value of the choice, half the width of its interval, and how many tasks diverged, so
    that they are not in the mean."""

    x: int | float
    mean: float
    interval: float = 0.0
    diverged: int = 0


def sweep_figure(
    series: Mapping[str, Sequence[Point]],
    published: Mapping[float, float] | None = None,
    *,
    over: str,
    metric: str,
) -> Figure:
    """A line for each series by its name, dots with their intervals, open ones where some tasks diverged; rings are
    published. Values of the choice stand by their logarithms, 0 left of them.

    Means of accuracies are in percent. Raises `NopalError` where there is nothing to draw, or a value below 0.
    """
    published = published or {}
    places = sorted({*published, *(point.x for points in series.values() for point in points)})
    if not any(series.values()) or places[0] < 0:
        raise NopalError(f"There are scores at the values {places} of {over}; expected some, all of them 0 or more.")
    figure = Figure(figsize=(5.2, 3.2), layout="constrained")
    axes = figure.add_subplot()
    handles = []
    for i, (name, points) in enumerate(series.items()):
        points = sorted(points, key=lambda point: point.x)
        colour = PALETTE[i % len(PALETTE)]
        style = ("-", "--", ":")[i // len(PALETTE) % 3]
        x, means = [point.x for point in points], [point.mean for point in points]
        intervals = [point.interval for point in points]
        axes.errorbar(x, means, yerr=intervals, fmt="none", ecolor=colour, elinewidth=1.2)
        handles += axes.plot(x, means, style, color=colour, linewidth=1.4, label=name)
        for point in points:
            inside = "white" if point.diverged else colour
            axes.plot(point.x, point.mean, "o", color=colour, markersize=4.5, markerfacecolor=inside, zorder=3)
    if published:
        axes.plot(*zip(*sorted(published.items())), "o", color=INK, markersize=7, fillstyle="none", zorder=2)
        handles.append(_key("none", "published"))
    if any(point.diverged for points in series.values() for point in points):
        handles.append(_key("full", "without tasks that diverged", markerfacecolor="white"))
    _scale(axes, places, [*published.values(), *(point.mean for points in series.values() for point in points)], metric)
    finish(figure, axes, handles, over, metric, size=8)
    return figure


def _key(fillstyle: str, label: str, **more: str) -> Line2D:
    """An entry of the legend for a mark."""
    return Line2D([], [], marker="o", linestyle="", color=INK, fillstyle=fillstyle, markersize=5, label=label, **more)  # type: ignore[arg-type]


def _scale(axes: Axes, places: Sequence[int | float], means: Sequence[float], metric: str) -> None:
    """Both axes by the numbers that they show."""
    positive = [place for place in places if place > 0]
    if positive:
        axes.set_xscale("symlog", linthresh=positive[0], linscale=0.4)
        # A little room on both sides; to the left of 0 in units of the linear part.
        axes.set_xlim(-0.15 * positive[0] if places[0] == 0 else positive[0] / 1.3, positive[-1] * 1.3)
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda x, _: _short(float(x)))
    if metric != "accuracy" and min(means) > 0 and max(means) > WIDE * min(means):
        axes.set_yscale("log")


def _short(x: float) -> str:
    """For instance 0.01, and 1e-4 rather than 0.0001: neighbours need room."""
    return f"{x:g}" if x == 0 or x >= 1e-3 else np.format_float_scientific(x, trim="-", exp_digits=1)
