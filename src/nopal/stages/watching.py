"""What goes on around any training in a run folder: metrics, checkpoints and progress."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from nopal.distributed import is_first
from nopal.errors import NopalError
from nopal.loop import Hook
from nopal.runs import Checkpointer, Checkpoints, MetricsLog, NaNGuard, Progress, RunFolder, Stopwatch

_ADVICE = "lower the outer or the inner learning rate or clip the gradients"


@contextlib.contextmanager
def watched(
    run: RunFolder, steps: int, start: int, share: float = 1.0, of: str = "", advice: str | None = None
) -> Iterator[tuple[MetricsLog | None, Callable[..., list[Hook]]]]:
    """The run's log, and a function that sets the hooks it is given among those of every run, in the right order; the
    first process alone writes files, and has a log."""
    every, log = run.config["every"], None
    first: list[Hook] = [NaNGuard(of, advice or _ADVICE)]
    last: list[Hook] = [Checkpointer(run.checkpoints, every, last=steps)]
    with contextlib.ExitStack() as open_files:
        if is_first():
            clock = Stopwatch(run.path / "seconds.txt", share)
            log = open_files.enter_context(MetricsLog(run.path, every=every, resume_step=start))
            first.append(log)
            last.append(lambda _: clock.write())
        yield log, lambda *own: [*first, *own, *last]


@contextlib.contextmanager
def progress_of(total: int, start: int, label: str, metric: str = "accuracy") -> Iterator[list[Progress]]:
    """How far a run is, where this process is the one that speaks."""
    if not is_first():
        yield []
        return
    with Progress(total, start, label, metric=metric) as progress:
        yield [progress]


def refuse_fewer(path: Path, steps: int) -> None:
    """Raises `NopalError` where the run in `path` has done more than `steps` steps already."""
    done = Checkpoints(path / "checkpoints", read_only=True).latest()
    if done and done > steps:
        raise NopalError(f"The run in {path} has done {done} steps already; expected at least as many steps.")
