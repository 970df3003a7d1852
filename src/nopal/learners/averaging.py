"""Predictions of stochastic learners: the mean over several draws of what is random in them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from nopal.errors import NopalError
from nopal.learners.learner import CoupledLearner, MetaLearner, Predictor
from nopal.tasks.episode import Examples
from nopal.tasks.target import Target


class Averaged(eqx.Module):
    """The mean prediction of several predictors, whose arrays have an axis for them.

    Without a target, and so without a support set, it is the mean of their outputs, be they logits or not.
    """

    predictors: Predictor
    target: Target | None = eqx.field(static=True)

    def __call__(self, x: Shaped[Array, "m ..."]) -> Float[Array, "m parameters"]:
        one = eqx.filter_vmap(lambda predictor, x: predictor(x), in_axes=(eqx.if_array(0), None))
        outputs = one(self.predictors, x)
        return outputs.mean(0) if self.target is None else self.target.average(outputs)


def average_draws(
    drawn: Callable[[PRNGKeyArray], Predictor], samples: int, support: Examples | None, key: PRNGKeyArray | None
) -> Averaged:
    """The predictors that `drawn` makes of `samples` keys; raises `NopalError` where there is no key."""
    if key is None:
        raise NopalError(f"Predictions average {samples} draws, which need a key; give adapt(support, key=...).")
    predictors = eqx.filter_vmap(drawn)(jax.random.split(key, samples))
    return Averaged(predictors, None if support is None else support.target)


def check_strength(beta: Any, samples: int) -> None:
    """Raises `NopalError` for a strength of regularisation that is negative or no number, or a negative number of
    draws."""
    if not (isinstance(beta, int | float | np.number) and 0 <= beta < float("inf")):
        raise NopalError(f"The strength of regularisation, beta, is {beta!r}; expected a number from 0 on.")
    if samples < 0:
        raise NopalError(f"Predictions are to average {samples} draws; expected 0 (the means) or more.")


def check_uncoupled(learner: MetaLearner) -> None:
    """Raises `NopalError` for a learner whose objective couples tasks, which a learner around it would not see."""
    if isinstance(learner, CoupledLearner):
        raise NopalError(
            f"The objective of {type(learner).__name__} couples the tasks of a step, which would be lost here; give a "
            "learner whose loss is that of single tasks, such as MAML."
        )
