"""What a learner says about poses: views whose angles it was told, views whose angles it tells, and how far off it
is."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nopal.report.angles import GUESS, PREDICTED, against_panel, dial, errors_panel, finite_mean, shorter_way
from nopal.report.page import INK
from nopal.report.pose_sheet import shortened

SUPPORT, QUERIES = 4, 5
"""Views of a task that are shown."""
INCHES = 0.78
"""Width of one view on paper. All other lengths here are in widths of a view."""
_PITCH, _GAP, _RADIUS, _ROW, _PANEL, _WEST, _NORTH = 1.06, 0.5, 0.4, 2.5, 2.05, -2.2, -2.35


@dataclasses.dataclass(frozen=True, eq=False)
class PosePredictions:
    """Tasks of some objects, as many of each. Angles are in degrees; predicted ones may lie outside of [0, 360) where
    the target is a line, and are no finite numbers where adaptation diverged. `support` and `query` number the views of
    an object; `scores` are those of the target, called `metric`, in the units of `turn`."""

    names: tuple[str, ...]
    images: UInt8[np.ndarray, "objects views h w c"]
    angles: Float[np.ndarray, "objects views"]
    support: Int[np.ndarray, "objects tasks shot"]
    query: Int[np.ndarray, "objects tasks queries"]
    predicted: Float[np.ndarray, "objects tasks queries"]
    scores: Float[np.ndarray, "objects tasks queries"]
    metric: str
    turn: float

    @property
    def true(self) -> Float[np.ndarray, "objects tasks queries"]:
        """The angles of the queries."""
        return self.angles[np.arange(len(self.angles))[:, None, None], self.query]

    @property
    def errors(self) -> Float[np.ndarray, "objects tasks queries"]:
        """Degrees from the true angle to the predicted one, the shorter way round: -180 to 180, or NaN."""
        return shorter_way(self.predicted - self.true)


def predictions_figure(found: PosePredictions, title: str = "", *, rows: int = 6) -> Figure:
    """A row for each of `rows` objects, evenly chosen from all: views of its first task, a dial for each angle, and
    predicted against true angles of all its tasks. Below, the same for all objects, and the mean error of each.

    Dials are seen from above, with the camera below: what `nopal poses render` draws turns as their hands do. Views are
    cut to the square in which they differ, and brightened.
    """
    chosen = evenly(len(found.names), rows)
    queries_at = min(SUPPORT, found.support.shape[2]) * _PITCH + _GAP
    panels_at = queries_at + min(QUERIES, found.query.shape[2]) * _PITCH + 0.6
    below, whole, strip = len(chosen) * _ROW + 0.75, 4.4, max(4.4, 0.2 * len(found.names))
    east, south = panels_at + _PANEL + 0.1, below + strip + 0.65
    figure = Figure(figsize=(INCHES * (east - _WEST), INCHES * (south - _NORTH)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(_WEST, east), ylim=(south, _NORTH))
    axes.set_axis_off()

    def inset(left: float, top: float, width: float, height: float) -> Axes:
        place = (left - _WEST) / (east - _WEST), (south - top - height) / (south - _NORTH)
        return figure.add_axes((*place, width / (east - _WEST), height / (south - _NORTH)))

    _header(axes, found, title, queries_at, panels_at)
    axes.plot([queries_at - _GAP / 2] * 2, [-0.8, len(chosen) * _ROW - 0.4], color=INK, linewidth=0.8)
    for row, number in enumerate(chosen):
        _row(axes, found, int(number), row * _ROW, queries_at)
        panel = inset(panels_at, row * _ROW, _PANEL, _PANEL)
        against_panel(panel, found.true[number], found.predicted[number], 9.0)
    scored = "scored as right" if found.metric == "squared_arc" else "but scored as on a line"
    left = _WEST + 0.15
    axes.text(left, below - 0.4, f"{len(found.names)} objects together", color=INK, fontsize=10, fontweight="bold")
    axes.text(left, below - 0.15, f"dashed: right across the seam (0° = 360°), {scored}", color=INK, fontsize=8)
    panel = inset(_WEST + 0.75, below, whole, whole)
    against_panel(panel, found.true, found.predicted, 5.0)
    panel.set_xlabel("true angle", fontsize=8, color=INK)
    panel.set_ylabel("predicted angle", fontsize=8, color=INK)
    left = _WEST + whole + 2.9
    panel = inset(left, below, east - 0.3 - left, strip)
    errors_panel(panel, [shortened(name) for name in found.names], found.errors)
    for label in panel.get_yticklabels():
        label.set_parse_math(False)
    panel.set_xlabel("mean error of each object; small dots: of one task", fontsize=8, color=INK)
    return figure


def evenly(count: int, most: int) -> Int[np.ndarray, "chosen"]:
    """At most `most` of the numbers below `count`, evenly spaced."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def _header(axes: Axes, found: PosePredictions, title: str, queries_at: float, panels_at: float) -> None:
    (_, tasks, told), asked = found.support.shape, found.query.shape[2]
    words = (
        f"The learner is told the angles of {told} views of an object, and tells those of {asked} others. Dials are "
        "seen from above, with the camera below.\n"
        f"Errors are in degrees, the shorter way round; a guess is {GUESS}° off on average. For "
        f"{found.metric.replace('_', ' ')}s, a full turn is {found.turn:g}."
    )
    axes.text(_WEST + 0.15, -2.0, title, color=INK, fontsize=11, fontweight="bold")
    axes.text(_WEST + 0.15, -1.8, words, color=INK, fontsize=8.5, va="top")
    axes.text(0, -0.5, f"support: {min(SUPPORT, told)} of {told} views", color=INK, fontsize=9)
    axes.text(queries_at, -0.5, f"queries: {min(QUERIES, asked)} of {asked} views", color=INK, fontsize=9)
    for left, colour, width, word in (
        (0, INK, 2.6, "true"),
        (queries_at, INK, 2.6, "true"),
        (queries_at + 1, PREDICTED, 1.5, "predicted"),
    ):
        axes.plot([left, left + 0.3], [-0.25] * 2, color=colour, linewidth=width, solid_capstyle="round")
        axes.text(left + 0.4, -0.25, word, color=colour, fontsize=8.5, va="center_baseline")
    about = f"predicted against true,\n{tasks * asked} queries of {tasks} tasks"
    axes.text(panels_at, -0.22, about, color=INK, fontsize=9, linespacing=1.4)


def _row(axes: Axes, found: PosePredictions, number: int, top: float, queries_at: float) -> None:
    """One object: its name with its mean errors, and views of its first task, ordered by their angles."""
    errors, scores = np.abs(found.errors[number]), found.scores[number]
    about = [f"mean error {finite_mean(errors):.0f}°", f"{found.metric.replace('_', ' ')} {finite_mean(scores):.2f}"]
    if diverged := int(np.isnan(errors).sum()):
        about.append(f"{diverged} of {errors.size} diverged")
    name = shortened(found.names[number])
    axes.text(-0.2, top + 0.3, name, color=INK, ha="right", fontsize=9.5, fontweight="bold", parse_math=False)
    axes.text(-0.2, top + 0.42, "\n".join(about), color=INK, ha="right", va="top", fontsize=8.5, linespacing=1.4)
    support, queries = found.support[number, 0, :SUPPORT], found.query[number, 0, :QUERIES]
    told = np.argsort(found.angles[number, support], kind="stable")
    asked = np.argsort(found.angles[number, queries], kind="stable")
    views = np.concatenate([support[told], queries[asked]])
    places = np.concatenate([_PITCH * np.arange(len(told)), queries_at + _PITCH * np.arange(len(asked))])
    answers = [None] * len(told) + found.predicted[number, 0, asked].tolist()
    for left, view, picture, answer in zip(places.tolist(), views, _close_up(found.images[number, views]), answers):
        extent = (left, left + 1, top + 1, top)
        axes.imshow(picture, cmap="gray", extent=extent, aspect="auto", interpolation="lanczos", vmin=0, vmax=1)
        true, middle = float(found.angles[number, view]), (left + 0.5, top + 1.08 + _RADIUS)
        dial(axes, middle, _RADIUS, true, answer)
        under = middle[1] + _RADIUS + 0.19
        axes.text(middle[0], under, f"{true:.0f}°", color=INK, ha="center", fontsize=8.5)
        if answer is not None:
            word = f"{answer:.0f}°" if np.isfinite(answer) else "diverged"
            axes.text(middle[0], under + 0.2, word, color=PREDICTED, ha="center", fontsize=8.5)


def _close_up(views: UInt8[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n side side c"]:
    """The square in which the views differ, with a margin, as numbers from 0 to 1."""
    height, width = views.shape[1:3]
    differ = (np.ptp(views, axis=0) > 24).any(-1)
    spans = [
        np.flatnonzero(differ.any(axis)) if differ.any() else np.arange(n) for axis, n in ((1, height), (0, width))
    ]
    side = min(round(1.15 * max(span[-1] - span[0] + 1 for span in spans)), height, width)
    top, left = (
        min(max((span[0] + span[-1] + 1 - side) // 2, 0), whole - side) for span, whole in zip(spans, (height, width))
    )
    cut = views[:, top : top + side, left : left + side].astype(float)
    return (cut - cut.min()) / max(np.ptp(cut), 1)
