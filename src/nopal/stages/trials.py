"""What is tried now and then while a learner is trained: tasks of meta-validation, and the memorisation meter."""

from __future__ import annotations

import sys

import jax

from nopal.distributed import is_first
from nopal.evaluation import evaluate
from nopal.loop import Moment
from nopal.meter import Reading, read_meter
from nopal.runs import MetricsLog
from nopal.stages.measuring import VALIDATION_SEED
from nopal.training import Tasks, calibrate

METERED = 2_000
"""Runs that see fewer tasks are over before the meter would have paid for itself."""
READING = 16
"""Tasks of a reading in a log: a few show whether a learner looks at the support set at all."""
ADVICE = (
    "It memorises its training tasks: there it is hardly better with their own support sets than with those of other "
    "tasks, or than with none. Try meta-regularisation, meta-augmentation, or fresh labels for every task."
)


class Trial:
    """A hook that logs the score on 50 tasks of meta-validation, where there are any, and a reading of the meter.

    Once, at the second reading in a row by which the learner is memorising or at the `last` step, it says so on
    standard error. A hook of `nopal.train` is, for instance, `Every(1000, Trial(tasks))`.
    """

    def __init__(
        self,
        training: Tasks,
        validation: Tasks | None = None,
        log: MetricsLog | None = None,
        *,
        metered: bool = True,
        last: int | None = None,
    ):
        self._training, self._validation, self._log = training, validation, log
        self._metered, self._last = metered, last
        self._before, self._told = False, False

    def __call__(self, moment: Moment) -> None:
        if self._validation is None and not self._metered:
            return
        key, found = jax.random.key(VALIDATION_SEED), {}
        learner = calibrate(moment.state.learner, self._training, key=key, episodes=20)
        if self._validation is not None:
            found["validation_score"] = evaluate(learner, self._validation, key=key, episodes=50).mean
        if self._metered:
            reading = read_meter(learner, self._training, key=key, episodes=READING)
            names = {"reliance": reading.reliance, "low": reading.low, "high": reading.high} | reading.means()
            found |= {f"meter_{name}": value for name, value in names.items() if value is not None}
            self._warn(reading, moment.step)
        if self._log:
            self._log.log(moment.step, found)

    def _warn(self, reading: Reading, step: int) -> None:
        lasting = self._before or step == self._last
        if lasting and reading.memorising and not self._told and is_first():
            print(f"Reliance on the support set: {verdict(reading)}", file=sys.stderr)
            self._told = True
        self._before = reading.memorising


def verdict(reading: Reading) -> str:
    """The index and, of a learner that memorises, a sentence that says so and what to try."""
    return f"{reading}. {ADVICE}" if reading.memorising else str(reading)
