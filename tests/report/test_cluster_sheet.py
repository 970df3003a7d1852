"""What clusters look like."""

import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.partitions import Partitions, Summary
from nopal.report import cluster_sheet, summaries_csv, summaries_table

SIZES = (1, 2, 3, 14)
ASSIGNMENTS = np.stack([np.repeat(np.arange(4), SIZES), np.arange(20) % 4])
PARTITIONS = Partitions.from_assignments(ASSIGNMENTS, 5)
IMAGES = (np.arange(20, dtype=np.uint8) * 10)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)


def shown(figure):
    """The grey value of every picture, row by row."""
    rows = {}
    for picture in figure.axes[0].images:
        rows.setdefault(picture.get_extent()[3], []).append(
            round(255 * float(np.asarray(picture.get_array())[0, 0, 0]))
        )
    return [rows[top] for top in sorted(rows)]


def test_a_row_holds_members_of_one_cluster_below_its_size():
    figure = cluster_sheet(IMAGES, PARTITIONS, members=6)
    rows = shown(figure)
    assert [len(row) for row in rows] == [1, 2, 3, 6]
    for cluster, row in enumerate(rows):
        assert {int(ASSIGNMENTS[0][value // 10]) for value in row} == {cluster}
        assert len(set(row)) == len(row)
    words = [text.get_text() for text in figure.axes[0].texts]
    assert words == ["members", "1", "2", "3", "14"]


def test_of_large_clusters_some_are_drawn():
    assert [len(row) for row in shown(cluster_sheet(IMAGES, PARTITIONS, min_members=2))] == [2, 3, 12]
    assert len(shown(cluster_sheet(IMAGES, PARTITIONS, which=1, clusters=2))) == 2


def test_refused():
    with pytest.raises(NopalError, match="no partition 2; expected 0 to 1"):
        cluster_sheet(IMAGES, PARTITIONS, which=2)
    with pytest.raises(NopalError, match="No cluster of partition 1 has 6 members; the largest has 5"):
        cluster_sheet(IMAGES, PARTITIONS, which=1, min_members=6)


def test_summaries():
    known = [Summary(4, 1234, 1, 2.5, 14, 0.5, 0.25), Summary(4, 20, 5, 5.0, 5)]
    assert summaries_csv(known).splitlines() == [
        "partition,clusters,rows,smallest,median,largest,purity,nmi",
        "0,4,1234,1,2.5,14,0.5,0.25",
        "1,4,20,5,5.0,5,,",
    ]
    table = summaries_table(known)
    assert '<td class="score">1,234</td>' in table
    assert '<td class="score">0.25</td>' in table
    assert table.count("<tr>") == 3
    assert "purity" not in summaries_table(known[1:])
    assert summaries_table(known, most=1).count("<tr>") == 2
