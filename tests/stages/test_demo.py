"""The demo, on a handful of characters: every row is measured, told and kept."""

import io

import numpy as np
import pytest
from rich.console import Console

from nopal.data import glyphs
from nopal.data.images import Splits
from nopal.options.experiment import PartitionOptions, TrainingOptions
from nopal.options.learners import MAMLOptions, ProtoNetOptions
from nopal.runs import read_records
from nopal.stages import demo


@pytest.fixture
def small(monkeypatch):
    data = glyphs.load()
    some = Splits(*(part.take(np.flatnonzero(part.need_labels() < 24)) for part in data))
    monkeypatch.setattr(demo.glyphs, "load", lambda: some)
    monkeypatch.setattr(demo, "PARTITIONS", PartitionOptions(clusters=20, partitions=2))
    monkeypatch.setattr(demo, "DIFFICULTIES", ((3, 1),))
    training = TrainingOptions(way=3, shot=1, query=2, tasks_per_step=2, steps=4)
    rows = {
        "CACTUs-ProtoNets": (ProtoNetOptions(filters=4, downsample="stride"), training, False),
        "oracle: MAML trained on labels": (MAMLOptions(filters=4, inner_steps=1, test_steps=1), training, True),
    }
    monkeypatch.setattr(demo, "ROWS", rows)


def test_table_page_and_records_tell_the_same(small, tmp_path):
    shown = io.StringIO()
    page = demo.run_demo(tmp_path / "out", episodes=20, console=Console(file=shown, width=120))
    text = page.read_text(encoding="utf-8")
    records = read_records(tmp_path / "out" / "results")
    assert {record["learner"] for record in records} == {*demo.ROWS, "kNN on the embedding"}
    for record in records:
        (score,) = record["scores"]
        assert (score["way"], score["shot"], score["tasks"]) == (3, 1, 20)
        assert f"{score['mean']:.1f} ± {score['ci95']:.1f}" in shown.getvalue()
        assert f"{score['mean']:.1f}" in text
        assert record["learner"] in text
    assert "chance" in shown.getvalue()
    assert "33.3" in shown.getvalue()
    assert "src=" not in text.replace('src="data:', "")
    assert text.count("<svg") + text.count("<img") >= 3


def test_a_finished_demo_can_be_resumed_and_tells_the_same(small, tmp_path):
    tables = []
    for _ in range(2):
        shown = io.StringIO()
        demo.run_demo(tmp_path / "out", episodes=20, resume=True, console=Console(file=shown, width=120))
        tables.append(shown.getvalue().split("Clustering")[1])
    assert tables[0] == tables[1]
