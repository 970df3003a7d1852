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
WARNING = (
    "Predictions on training tasks are hardly better with the support set than without it or with a wrong one{}: where "
    "that lasts, the learner memorises its tasks, so try meta-regularisation, meta-augmentation, or fresh labels for "
    "every task."
)


class Trial:
    """Logs the score on 50 tasks of meta-validation, where there are any, and a reading of the meter.

    Once, at the second reading in a row by which the learner is memorising, it says so on standard error.
    """

    def __init__(self, training: Tasks, validation: Tasks | None, log: MetricsLog | None, *, metered: bool):
        self._training, self._validation, self._log, self._metered = training, validation, log, metered
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
            names = {"meter_reliance": reading.reliance, **{f"meter_{k}": v for k, v in reading.means().items()}}
            found |= {name: value for name, value in names.items() if value is not None}
            self._warn(reading)
        if self._log:
            self._log.log(moment.step, found)

    def _warn(self, reading: Reading) -> None:
        if self._before and reading.memorising and not self._told and is_first():
            reliance = "" if reading.reliance is None else f" (reliance {reading}, of 1)"
            print(WARNING.format(reliance), file=sys.stderr)
            self._told = True
        self._before = reading.memorising
