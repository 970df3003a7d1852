"""Own numbers beside published ones, as a picture: a panel for each difficulty, a line for each row of the table."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from nopal.errors import NopalError
from nopal.report.curves import PALETTE
from nopal.report.page import INK
from nopal.report.rows import Row, heading_of, score_columns, scores_of


def comparison_figure(rows: Sequence[Row]) -> Figure:
    """Dots with their 95% intervals (of several seeds, with their standard deviation) are what was measured, rings what
    was published; rows from top to bottom.

    Raises `NopalError` where no row has a score.
    """
    columns = score_columns(rows)
    if not columns:
        raise NopalError("None of the rows has a score to draw; measure one first.")
    names = _told_apart(rows)
    beside = 0.6 + 0.065 * max(map(len, names))
    figure = Figure(figsize=(beside + 1.9 * len(columns), 0.9 + 0.21 * len(rows)), layout="constrained")
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for panel, (way, shot, metric) in zip(panels, columns):
        for height, row in enumerate(rows):
            score = scores_of(row).get((way, shot, metric))
            if score is None:
                continue
            if score.get("published") is not None:
                panel.plot(score["published"], height, "o", color=INK, markersize=6, fillstyle="none", zorder=2)
            if score["mean"] is not None:
                panel.errorbar(
                    score["mean"],
                    height,
                    xerr=score.get("ci95") or 0,
                    fmt="o",
                    color=PALETTE[0],
                    markersize=4,
                    zorder=3,
                )
        panel.set_title(heading_of((way, shot, metric)).replace(", ", "\n"), fontsize=9, color=INK)
        if metric != "accuracy":
            panel.set_xscale("log")  # one adaptation that all but diverged would hide all others
            panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
            panel.xaxis.set_major_formatter("{x:g}")
            panel.xaxis.set_minor_locator(NullLocator())
        panel.grid(color=INK, alpha=0.12, linewidth=0.6)
        panel.tick_params(colors=INK, length=0, labelsize=8)
        for spine in panel.spines.values():
            spine.set_visible(False)
    panels[0].set_yticks(range(len(rows)), names)
    panels[0].set_ylim(len(rows) - 0.5, -0.5)
    percent = ", in percent" if all(metric == "accuracy" for *_, metric in columns) else ""
    figure.supxlabel(f"filled: measured{percent}; rings: published", fontsize=8, color=INK)
    return figure


def _told_apart(rows: Sequence[Row]) -> list[str]:
    """The names of rows; with their own budget where there are several of a name."""
    count = Counter(row.name for row in rows)
    own = [re.sub(r" of [\d,]+", "", row.details.get("budget", "")) for row in rows]
    return [f"{row.name}: {budget}" if count[row.name] > 1 else row.name for row, budget in zip(rows, own)]


def as_svg(figure: Figure) -> str:
    """The same figure, the same text."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "nopal", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
