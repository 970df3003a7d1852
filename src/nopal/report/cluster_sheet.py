"""What clusters look like: a row of members for each, and a table of what each partition is like."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nopal.errors import NopalError
from nopal.partitions import Partitions, Summary
from nopal.report.contact_sheet import INCHES, displayable
from nopal.report.page import INK, Markup


def cluster_sheet(
    images: Shaped[np.ndarray, "n h w c"],
    partitions: Partitions,
    *,
    which: int = 0,
    clusters: int = 10,
    members: int = 12,
    min_members: int = 1,
    seed: int = 0,
) -> Figure:
    """A row for each of `clusters` clusters of partition `which`, drawn from those with `min_members` members: the
    size, then at most `members` of its images, drawn too.

    Raises `NopalError` for a partition that there is not, and where no cluster is large enough.
    """
    partitions.check_rows(len(images))
    if not 0 <= which < len(partitions.members):
        raise NopalError(f"There is no partition {which}; expected 0 to {len(partitions.members) - 1}.")
    random = np.random.default_rng(seed)
    sizes = np.asarray(partitions.sizes[which])
    large = np.flatnonzero(sizes >= max(min_members, 1))
    if not len(large):
        raise NopalError(f"No cluster of partition {which} has {min_members} members; the largest has {sizes.max()}.")
    shown = np.sort(random.choice(large, min(clusters, len(large)), replace=False))
    starts, rows = np.asarray(partitions.starts[which]), np.asarray(partitions.members[which])
    drawn = [
        random.choice(rows[starts[c] : starts[c + 1]], min(members, sizes[c]), replace=False).astype(int) for c in shown
    ]
    longest = max(len(line) for line in drawn)
    pictures = displayable(np.asarray(images)[np.concatenate(drawn)][None])[0]
    aspect = pictures.shape[1] / pictures.shape[2]
    east, south = 1.08 * longest + 0.05, (aspect + 0.08) * len(shown) + 0.05
    figure = Figure(figsize=(INCHES * (east + 2.2), INCHES * (south + 0.6)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.text(-0.25, -0.2, "members", color=INK, ha="right", fontsize=9)
    frames, number = [], 0
    for i, (cluster, line) in enumerate(zip(shown, drawn)):
        top = (aspect + 0.08) * i
        axes.text(-0.25, top + aspect / 2, f"{sizes[cluster]:,}", color=INK, ha="right", va="center", fontsize=10)
        for j in range(len(line)):
            left = 1.08 * j
            axes.imshow(pictures[number], extent=(left, left + 1, top + aspect, top), interpolation="lanczos")
            frames.append(Rectangle((left, top), 1, aspect))
            number += 1
    axes.add_collection(PatchCollection(frames, facecolor="none", edgecolor=INK, alpha=0.25, linewidth=0.6))
    axes.set(xlim=(-2.2, east), ylim=(south, -0.6))
    axes.set_axis_off()
    return figure


def summaries_csv(summaries: Sequence[Summary]) -> str:
    """One line for each partition, numbered from 0."""
    text = io.StringIO()
    names = [field.name for field in dataclasses.fields(Summary)]
    lines = csv.DictWriter(text, ["partition", *names], lineterminator="\n")
    lines.writeheader()
    lines.writerows({"partition": i} | dataclasses.asdict(summary) for i, summary in enumerate(summaries))
    return text.getvalue()


def summaries_table(summaries: Sequence[Summary], most: int = 20) -> Markup:
    """The first `most` partitions as a table for `report_page`; columns that know nothing are left out."""
    names = {
        "clusters": "clusters",
        "rows": "images in them",
        "smallest": "smallest",
        "median": "median size",
        "largest": "largest",
        "purity": "purity",
        "nmi": "normalised mutual information",
    }
    kept = {name: title for name, title in names.items() if any(getattr(s, name) is not None for s in summaries)}
    head = "".join(f'<th scope="col" class="score">{html.escape(title)}</th>' for title in kept.values())
    body = ""
    for i, summary in enumerate(summaries[:most]):
        values = [getattr(summary, name) for name in kept]
        digits = [2 if name in ("purity", "nmi") else 0 for name in kept]
        cells = "".join(
            f'<td class="score">{"" if value is None else format(value, f",.{d}f")}</td>'
            for value, d in zip(values, digits)
        )
        body += f'<tr><th scope="row">{i}</th>{cells}</tr>\n'
    return Markup(
        f'<div class="scroll"><table>\n<thead><tr><th scope="col">partition</th>{head}</tr></thead>\n<tbody>\n{body}'
        "</tbody>\n</table></div>"
    )
