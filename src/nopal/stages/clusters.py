"""A page about partitions: what each is like, and what its clusters look like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nopal.data import load_arrays
from nopal.partitions import Partitions, Summary
from nopal.report import (
    Markup,
    Picture,
    Section,
    cluster_sheet,
    report_page,
    summaries_csv,
    summaries_table,
    write_page,
)
from nopal.runs.files import write_text


def write_clusters(
    out: Path, partitions: Partitions, summaries: Sequence[Summary], vectors: Path, members: int
) -> None:
    """The page `out`, or only its numbers where its name ends in `.csv`; clusters are drawn where the file of vectors
    holds images too."""
    if out.suffix == ".csv":
        write_text(out, summaries_csv(summaries))
        return
    parts: list[str | Markup | Picture] = [
        f"{len(summaries)} partitions of {partitions.rows:,} vectors; clusters with at least {members} members count. "
        f"{'The first of them:' if len(summaries) > 20 else ''}",
        summaries_table(summaries),
    ]
    sections = [Section("", parts)]
    if _has_images(vectors):
        images = load_arrays(vectors).images
        sheets = [
            Picture(
                cluster_sheet(images, partitions, which=which, min_members=members),
                f"Clusters of partition {which}",
                f"Some clusters of partition {which}, with their numbers of members.",
            )
            for which in range(min(2, len(summaries)))
            if summaries[which].clusters
        ]
        sections.append(Section("What clusters look like", sheets))
    write_page(out, report_page("Nopal: partitions", sections))


def _has_images(vectors: Path) -> bool:
    if vectors.suffix != ".npz":
        return False
    with np.load(vectors) as file:
        return "X" in file
