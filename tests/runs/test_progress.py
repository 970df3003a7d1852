"""Progress is a bar in a terminal and a few plain lines elsewhere."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from rich.console import Console

from nopal.loop import Moment
from nopal.runs import Progress


def moment(step: int, **metrics: float) -> Moment:
    return Moment(step, None, {name: np.full(10, value) for name, value in metrics.items()})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set by the test."""
    now = [0.0]
    monkeypatch.setattr("nopal.runs.progress.time.monotonic", lambda: now[0])
    return now


def test_plain_lines_come_now_and_then_and_at_the_end(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(total=1000, start=100, label="meta-train") as progress:
        for step in range(110, 1001, 10):
            clock[0] = 20 + (step - 110) / 10  # 20 s to compile, then 10 steps a second
            progress(moment(step, loss=0.5, score=0.25))
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert [int(re.search(r"step ([\d,]+)", line)[1].replace(",", "")) for line in lines] == [
        *range(110, 1000, 100),
        1000,
    ]  # type: ignore[index]
    assert lines[0] == "meta-train  step 110/1,000  loss 0.5  accuracy 25.0%  0.5 steps/s  29:40 left"
    assert lines[1] == "meta-train  step 210/1,000  loss 0.5  accuracy 25.0%  10 steps/s  1:19 left"
    assert lines[-1] == "meta-train  step 1,000/1,000  loss 0.5  accuracy 25.0%  10 steps/s"


def test_other_scores_are_no_percentages(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    clock[0] = 36_000.0
    progress = Progress(total=40, metric="squared_error")
    progress._begun = (0, 0.0)
    progress(moment(20, score=1.5))
    assert capsys.readouterr().err == "train  step 20/40  squared_error 1.5  0.000556 steps/s  10:00:00 left\n"


def test_a_terminal_gets_a_bar() -> None:
    screen = io.StringIO()
    with Progress(total=20, console=Console(file=screen, force_terminal=True, width=120)) as progress:
        for step in (10, 20):
            progress(moment(step, loss=0.5))
    assert "━" in screen.getvalue()
    assert "step 20/20  loss 0.5" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[?25h")  # the cursor is back


def test_what_took_no_time_does_not_count_in_the_rate(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(total=400, label="render", unit="image") as progress:
        progress.skip(100)
        progress(moment(100))
        progress.skip(100)
        clock[0] = 10.0
        progress(moment(300))
    first, last = capsys.readouterr().err.splitlines()
    assert first == "render  image 100/400"
    assert last == "render  image 300/400  10 images/s  0:10 left"


def test_the_whole_may_turn_out_to_be_more(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    screen = io.StringIO()
    consoles = None, Console(file=screen, force_terminal=True, width=120)
    for console in consoles:
        with Progress(0, label="cluster", unit="partition", console=console) as progress:
            for done, total in ((2, 2), (3, 4)):
                progress.grow(total)
                clock[0] += 10.0
                progress(moment(done))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[1] for line in lines] == ["partition 2/2", "partition 3/4"]
    assert "partition 3/4" in screen.getvalue()
