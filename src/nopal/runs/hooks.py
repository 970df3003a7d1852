"""What happens between two chunks of a run: checkpoints, validation, and the ways in which a run stops early."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import Any

import numpy as np

from nopal.distributed import agree
from nopal.errors import NopalError
from nopal.loop import Moment
from nopal.runs.checkpoints import Checkpoints


class Every:
    """A hook that calls `function(moment)` at the end of each chunk in which a multiple of `steps` was reached, and
    after the `last` step."""

    def __init__(self, steps: int, function: Callable[[Moment], Any], last: int | None = None):
        if steps < 1:
            raise NopalError(f"Something is to happen every {steps} steps; expected at least 1.")
        self._steps, self._function, self._last = steps, function, last

    def __call__(self, moment: Moment) -> None:
        before = moment.step - len(next(iter(moment.metrics.values()), (0,)))
        if moment.step == self._last or moment.step // self._steps > before // self._steps:
            self._function(moment)


class Checkpointer(Every):
    """A hook that saves the state every `every` steps, and after the `last`."""

    def __init__(self, checkpoints: Checkpoints, every: int, last: int | None = None):
        super().__init__(every, lambda moment: checkpoints.save(moment.step, moment.state), last)


class NaNGuard:
    """A hook that raises `NopalError` at the first loss that is not a finite number. Put it before `Checkpointer`.

    `of` says in the sentence which run it is, such as " of seed 3", and `advice` what to do.
    """

    def __init__(self, of: str = "", advice: str = "lower the learning rate"):
        self._of, self._advice = of, advice

    def __call__(self, moment: Moment) -> None:
        loss = moment.metrics["loss"]
        bad = np.flatnonzero(~np.isfinite(loss))
        if bad.size:
            step = moment.step - len(loss) + int(bad[0]) + 1
            raise NopalError(f"The loss{self._of} became {loss[bad[0]]} at step {step}; {self._advice}.")


class Stopped(Exception):
    """A command was stopped from outside; `exit_code` is what the shell expects (130 for Ctrl-C, 143 for SIGTERM)."""

    def __init__(self, sentence: str, exit_code: int):
        super().__init__(sentence)
        self.exit_code = exit_code


class Interrupted(Stopped):
    """A run was stopped from outside at a step."""

    def __init__(self, step: int, exit_code: int, saved: bool):
        super().__init__(f"Stopped at step {step}" + ("; go on with --resume." if saved else "."), exit_code)
        self.step = step


class Interrupts:
    """A context and a hook, the last of a run: after Ctrl-C or SIGTERM the chunk is finished and saved, then it raises.

    It raises `Interrupted`; a second Ctrl-C raises `KeyboardInterrupt` at once. A signal after the last chunk takes its
    usual effect when the context ends. Of several processes all stop at the same step, whichever got the signal.
    Outside the main thread, where Python delivers no signals, it does nothing.
    """

    def __init__(self, checkpoints: Checkpoints | None = None):
        self._checkpoints = checkpoints
        self._signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if self._signal is not None and kind is None:
            signal.raise_signal(self._signal)

    def __call__(self, moment: Moment) -> None:
        self.stop([(self._checkpoints, moment)])

    def stop(self, ends: Sequence[tuple[Checkpoints | None, Moment]]) -> None:
        """The same for runs that go side by side: each with its checkpoints and its moment."""
        number = agree(self._signal or 0)
        if number == 0:
            return
        for checkpoints, moment in ends:
            if checkpoints is not None:
                checkpoints.save(moment.step, moment.state)
        step = max(moment.step for _, moment in ends)
        raise Interrupted(step, 128 + number, saved=all(checkpoints is not None for checkpoints, _ in ends))

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._signal is None:
            self._signal = number
            with contextlib.suppress(OSError):  # print() may be at work already where the signal came in
                os.write(2, b"\nStopping when this chunk of steps is done; Ctrl-C (again) stops at once.\n")
        elif number == signal.SIGINT:
            raise KeyboardInterrupt
