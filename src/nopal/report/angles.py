"""Panels of angles: predicted against true ones, the mean error of each object, and the hands of a dial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle, Wedge

from nopal.report.curves import PALETTE
from nopal.report.page import INK

PREDICTED = PALETTE[1]
GUESS = 90
"""Degrees by which a guess is off on average, the shorter way round."""
_BEYOND = 40  # degrees that a panel shows on either side of a turn
_DASHED = (0, (3, 2))


def against_panel(
    axes: Axes, true: Float[np.ndarray, "*tasks queries"], predicted: Float[np.ndarray, "*tasks queries"], size: float
) -> None:
    """Dots of predicted against true angles in degrees. The square is one turn; on the dashed lines, predictions are
    right across the seam. What lies outside of the panel is a triangle at its edge."""
    low, high = -_BEYOND, 360 + _BEYOND
    axes.add_patch(Rectangle((0, 0), 360, 360, facecolor="none", edgecolor=INK, linewidth=0.8, alpha=0.5))
    axes.plot([low, high], [low, high], color=INK, linewidth=0.9)
    for side in (-360, 360):
        axes.plot([low, high], [low + side, high + side], color=INK, linewidth=0.9, linestyle=_DASHED)
    x, y = (values[np.isfinite(predicted)] for values in (true, predicted))
    shown = np.clip(y, low + 6, high - 6)
    for inside, marker in (((y >= low) & (y <= high), "o"), (y > high, "^"), (y < low, "v")):
        dots = x[inside], y[inside] if marker == "o" else shown[inside]
        axes.scatter(*dots, s=size, marker=marker, color=PREDICTED, alpha=0.6, linewidths=0, zorder=3)
    turn = range(0, 361, 90)
    axes.set(xlim=(low, high), ylim=(low, high), xticks=turn, yticks=turn)
    axes.yaxis.set_major_formatter("{x:.0f}°")
    _plain(axes, 6.5)


def errors_panel(axes: Axes, names: Sequence[str], errors: Float[np.ndarray, "objects tasks queries"]) -> None:
    """The mean error of each object in degrees, with those of its tasks."""
    for place, tasks in enumerate(np.abs(errors)):
        of_tasks = [finite_mean(task) for task in tasks]
        axes.plot(of_tasks, [place] * len(tasks), "o", color=PREDICTED, markersize=3, alpha=0.4, markeredgewidth=0)
        axes.plot(finite_mean(tasks), place, "o", color=PREDICTED, markersize=6)
    axes.axvline(GUESS, color=INK, linewidth=0.9, linestyle=_DASHED)
    axes.text(GUESS, -0.7, "a guess", color=INK, fontsize=7.5, ha="center")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlim=(0, 180), ylim=(len(names) - 0.4, -0.6), xticks=range(0, 181, 30))
    axes.grid(axis="x", color=INK, alpha=0.12, linewidth=0.6)
    _plain(axes, 7.5)


def dial(axes: Axes, middle: tuple[float, float], radius: float, true: float, predicted: float | None) -> None:
    """Hands for angles in degrees, 0 at the bottom and 90 to the right, in axes whose y goes down; the wedge between
    them is the error."""
    axes.add_patch(Circle(middle, radius, facecolor="none", edgecolor=INK, alpha=0.35, linewidth=0.7))
    hands = [(true, INK, 2.6)]
    if predicted is not None and np.isfinite(predicted):
        ends = 90 - true, 90 - true - shorter_way(np.array([predicted - true])).item()
        axes.add_patch(Wedge(middle, 0.7 * radius, min(ends), max(ends), color=PREDICTED, alpha=0.18, linewidth=0))
        hands.append((predicted, PREDICTED, 1.5))
    for angle, colour, width in hands:
        east, south = 0.92 * radius * np.sin(np.radians(angle)), 0.92 * radius * np.cos(np.radians(angle))
        tip = middle[0] + east, middle[1] + south
        axes.plot(*zip(middle, tip), color=colour, linewidth=width, solid_capstyle="round")


def shorter_way(degrees: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Differences of angles, brought to half a turn at most; what is not finite becomes NaN."""
    return (np.where(np.isfinite(degrees), degrees, np.nan) + 180) % 360 - 180


def finite_mean(values: Float[np.ndarray, "..."]) -> float:
    """The mean of those that are finite numbers; NaN without any."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else np.nan


def _plain(axes: Axes, size: float) -> None:
    axes.xaxis.set_major_formatter("{x:.0f}°")
    axes.tick_params(colors=INK, length=0, labelsize=size, pad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)
