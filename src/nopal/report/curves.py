"""Learning curves: the metrics of several runs in one figure."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nopal.errors import NopalError
from nopal.report.page import INK

PALETTE = ("#3d9a62", "#d1477f", "#4a83cf", "#d08a1c", "#8f6fd0", "#2fa3a8", "#a8604a")
"""Colours that can be told apart, on white and on near-black."""


def curves_figure(runs: Mapping[str, str | os.PathLike[str]], *, metric: str = "accuracy") -> Figure:
    """A line for each run, by its name and the path of its `metrics.csv` (step, loss, score, maybe validation_score).

    `metric` is 'accuracy' (scores are fractions, drawn in percent), 'loss', or the name of another score. Faint lines
    are what was logged, strong lines their moving average over a fifteenth of the run, dots the scores on validation
    tasks. Raises `NopalError` for a file that is missing, damaged, or without such numbers.
    """
    figure = Figure(figsize=(5.2, 3.2), layout="constrained")
    axes = figure.add_subplot()
    column = "loss" if metric == "loss" else "score"
    scale = 100 if metric == "accuracy" else 1
    handles = []
    for i, (name, path) in enumerate(runs.items()):
        colour = PALETTE[i % len(PALETTE)]
        metrics = read_metrics(path)
        steps, values = (_thinned(x) for x in _present(metrics, column, path))
        axes.plot(steps, scale * values, color=colour, linewidth=0.8, alpha=0.3)
        handles += axes.plot(steps, scale * _smoothed(values), color=colour, linewidth=2, label=name)
        if column == "score" and "validation_score" in metrics:
            steps, values = (_thinned(x, most=40) for x in _present(metrics, "validation_score", path))
            axes.plot(steps, scale * values, "o", color=colour, markersize=4.5)
    if len(axes.lines) > 2 * len(runs):
        handles.append(Line2D([], [], marker="o", linestyle="", color=INK, markersize=4.5, label="validation tasks"))
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    finish(figure, axes, handles, "training steps", metric, size=9)
    return figure


def finish(figure: Figure, axes: Axes, handles: Sequence[Line2D], over: str, metric: str, *, size: int) -> None:
    """Names of both axes, a light grid, and the legend above; `size` is that of the small print."""
    axes.set_xlabel(over, color=INK, fontsize=9)
    axes.set_ylabel("accuracy, %" if metric == "accuracy" else metric.replace("_", " "), color=INK, fontsize=9)
    axes.tick_params(colors=INK, length=0, labelsize=size)
    axes.grid(axis="y", color=INK, alpha=0.15, linewidth=0.6)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(INK)
    figure.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False, fontsize=size, labelcolor=INK)


def read_metrics(path: str | os.PathLike[str]) -> dict[str, Float[np.ndarray, "n"]]:
    """The columns of a metrics file by name; an empty cell is NaN. Raises `NopalError` where the file can't be read."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
            table = np.array([[float(cell or "nan") for cell in row] for row in rows]).reshape(len(rows), len(header))
    except OSError as error:
        raise NopalError(
            f"Cannot read {path} ({error.strerror}); expected the metrics.csv of a run, name that."
        ) from error
    except ValueError as error:
        raise NopalError(
            f"{path} is damaged ({error}); expected rows of numbers below one header, train again."
        ) from error
    return dict(zip(header, table.T))


def _present(
    metrics: Mapping[str, Float[np.ndarray, "n"]], column: str, path: str | os.PathLike[str]
) -> tuple[Float[np.ndarray, "m"], Float[np.ndarray, "m"]]:
    """Steps and values of a column where it holds numbers."""
    if not {"step", column} <= metrics.keys():
        raise NopalError(
            f"{path} has the columns {', '.join(metrics)}; expected step and {column}: name the metrics.csv of a run."
        )
    kept = np.isfinite(metrics[column])
    if not kept.any():
        raise NopalError(f"{path} has 0 numbers in its column {column}, expected at least one; train for longer.")
    return metrics["step"][kept], metrics[column][kept]


def _thinned(x: Float[np.ndarray, "n"], most: int = 300) -> Float[np.ndarray, "m"]:
    """Means of at most `most` neighbouring stretches: a screen shows no more, and pages stay small."""
    return np.array([part.mean() for part in np.array_split(x, min(len(x), most))])


def _smoothed(x: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Moving average; the window is cut off at both ends."""
    window = np.ones(2 * (len(x) // 30) + 1)
    return np.convolve(x, window, "same") / np.convolve(np.ones_like(x), window, "same")
