"""What goes on around any training in a run folder: metrics, checkpoints, progress, and an orderly stop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from nopal.errors import NopalError
from nopal.loop import Hook
from nopal.runs import Checkpointer, Checkpoints, Interrupts, MetricsLog, NaNGuard, Progress, RunFolder, Stopwatch


@contextlib.contextmanager
def watched(
    run: RunFolder, steps: int, start: int, label: str
) -> Iterator[tuple[MetricsLog, Callable[..., list[Hook]]]]:
    """The run's log, and a function that sets the hooks it is given among those of every run, in the right order."""
    every, clock = run.config["every"], Stopwatch(run.path / "seconds.txt")
    with (
        MetricsLog(run.path, every=every, resume_step=start) as log,
        Progress(steps, start, label) as progress,
        Interrupts(run.checkpoints) as interrupts,
    ):
        save = Checkpointer(run.checkpoints, every, last=steps)
        yield log, lambda *own: [NaNGuard(), log, *own, save, lambda _: clock.write(), progress, interrupts]


def refuse_fewer(path: Path, steps: int) -> None:
    """Raises `NopalError` where the run in `path` has done more than `steps` steps already."""
    done = Checkpoints(path / "checkpoints", read_only=True).latest()
    if done and done > steps:
        raise NopalError(f"The run in {path} has done {done} steps already; expected at least as many steps.")
