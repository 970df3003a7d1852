"""How far a run is: a bar where there is a terminal, now and then a line where there is none."""

from __future__ import annotations

import time
from types import TracebackType

import rich.progress
from rich.console import Console

from nopal.loop import Moment


class Progress:
    """A hook that shows steps, loss, score, steps per second and the time left on standard error.

    Steps per second leave out the first chunk, in which the program is compiled. Use it in a `with` so that the
    terminal is put right again.
    """

    def __init__(
        self,
        total: int,
        start: int = 0,
        label: str = "train",
        *,
        metric: str = "accuracy",
        unit: str = "step",
        interval: float = 10.0,
        console: Console | None = None,
    ):
        self._total, self._label, self._metric, self._unit, self._interval = total, label, metric, unit, interval
        self._console = console or Console(stderr=True)
        self._begun = (start, time.monotonic())
        self._compiled = False
        self._shown = float("-inf")
        text, bar = rich.progress.TextColumn, rich.progress.BarColumn
        columns = (text("{task.description}"), bar(), text("{task.fields[facts]}"))
        self._bar = rich.progress.Progress(*columns, console=self._console) if self._console.is_terminal else None
        if self._bar:
            self._task = self._bar.add_task(label, total=total, completed=start, facts="beginning")

    def __call__(self, moment: Moment) -> None:
        now = time.monotonic()
        facts = self._facts(moment, now)
        if not self._compiled:
            self._begun, self._compiled = (moment.step, now), True
        if self._bar:
            self._bar.update(self._task, completed=moment.step, facts=facts)
        elif now - self._shown >= self._interval or moment.step >= self._total:
            self._console.print(f"{self._label}  {facts}", highlight=False, soft_wrap=True, markup=False)
            self._shown = now

    def _facts(self, moment: Moment, now: float) -> str:
        """Such as "step 1,200/30,000  loss 0.8132  accuracy 71.2%  5.8 steps/s  1:22:46 left"."""
        facts = [f"{self._unit} {moment.step:,}/{self._total:,}"]
        if "loss" in moment.metrics:
            facts.append(f"loss {moment.metrics['loss'].mean():.4g}")
        if "score" in moment.metrics:
            score = float(moment.metrics["score"].mean())
            facts.append(f"{self._metric} " + (f"{score:.1%}" if self._metric == "accuracy" else f"{score:.4g}"))
        step, then = self._begun
        if moment.step > step:
            rate = (moment.step - step) / max(now - then, 1e-9)
            facts.append(f"{rate:.3g} {self._unit}s/s")
            if moment.step < self._total:
                facts.append(f"{_clock((self._total - moment.step) / rate)} left")
        return "  ".join(facts)

    def grow(self, total: int) -> None:
        """So many steps it is in all, as is known now."""
        self._total = total
        if self._bar:
            self._bar.update(self._task, total=total)

    def skip(self, steps: int) -> None:
        """So many of the steps yet to be told of take no time, and don't count in steps per second."""
        step, then = self._begun
        self._begun = (step + steps, then)

    def close(self) -> None:
        """Put the terminal right again."""
        if self._bar:
            self._bar.stop()

    def __enter__(self) -> Progress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
