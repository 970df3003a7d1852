"""Metrics are means over windows, and what lies past a checkpoint is cut off."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.loop import Moment
from nopal.runs import MetricsLog


def moments(start: int, stop: int, chunk: int) -> list[Moment]:
    """Chunks of steps in which the loss of step i is i, counted from 1."""
    ends = range(start + chunk, stop + 1, chunk)
    return [Moment(end, None, {"loss": np.arange(end - chunk + 1, end + 1, dtype=np.float32)}) for end in ends]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("chunk", [1, 2, 4, 12])
def test_means_don_t_depend_on_the_chunk(tmp_path: Path, chunk: int) -> None:
    with MetricsLog(tmp_path, every=4) as log:
        for moment in moments(0, 12, chunk):
            log(moment)
    assert (tmp_path / "metrics.csv").read_text() == "step,loss\n4,2.5\n8,6.5\n12,10.5\n"


def test_a_window_that_has_begun_is_written_at_the_end(tmp_path: Path) -> None:
    with MetricsLog(tmp_path, every=4) as log:
        for moment in moments(0, 6, 2):
            log(moment)
        assert (tmp_path / "metrics.csv").read_text() == "step,loss\n4,2.5\n"
    assert (tmp_path / "metrics.csv").read_text() == "step,loss\n4,2.5\n6,5.5\n"


def test_the_header_grows_and_values_of_one_step_share_a_row(tmp_path: Path) -> None:
    with MetricsLog(tmp_path, every=2) as log:
        for moment in moments(0, 4, 2):
            log(moment)
        log.log(4, {"validation_score": 0.75})
        for moment in moments(4, 6, 2):
            log(moment)
        log.log(7, {"validation_score": 0.5})
    expected = "step,loss,validation_score\n2,1.5,\n4,3.5,0.75\n6,5.5,\n7,,0.5\n"
    assert (tmp_path / "metrics.csv").read_text() == expected


def test_resume_cuts_off_what_lies_past_the_checkpoint(tmp_path: Path) -> None:
    with MetricsLog(tmp_path, every=2) as log:
        for moment in moments(0, 8, 2):
            log(moment)
        log.log(8, {"validation_score": 1.0})
    whole = (tmp_path / "metrics.csv").read_text()
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("1")  # of a line such as "10,9.5,": the process was killed while it wrote
    with MetricsLog(tmp_path, every=2, resume_step=4) as log:
        assert [row["step"] for row in rows(tmp_path)] == ["2", "4"]
        for moment in moments(4, 8, 2):
            log(moment)
        log.log(8, {"validation_score": 1.0})
    assert (tmp_path / "metrics.csv").read_text() == whole
    MetricsLog(tmp_path, every=2).close()
    assert rows(tmp_path) == []


def test_tensorboard_gets_the_same_values_and_hides_what_was_cut_off(tmp_path: Path) -> None:
    from tensorboardX.proto.event_pb2 import Event

    with MetricsLog(tmp_path, every=2, resume_step=4) as log:
        for moment in moments(4, 8, 2):
            log(moment)
    (file,) = (tmp_path / "tensorboard").iterdir()
    data, events = file.read_bytes(), []
    while data:  # a record is its length, a checksum, the event, a checksum
        length = int.from_bytes(data[:8], "little")
        events.append(Event.FromString(data[12 : 12 + length]))
        data = data[16 + length :]
    values = [(e.step, v.tag, v.simple_value) for e in events for v in e.summary.value]
    assert values == [(6, "loss", 5.5), (8, "loss", 7.5)]
    assert [e.step for e in events if e.HasField("session_log")] == [5]


def test_what_cannot_be_a_log(tmp_path: Path) -> None:
    with pytest.raises(NopalError, match="every 0 steps"):
        MetricsLog(tmp_path, every=0)
    (tmp_path / "metrics.csv").write_text("a,b\n1,2\n")
    with pytest.raises(NopalError, match="columns a, b; expected one named step"):
        MetricsLog(tmp_path)
