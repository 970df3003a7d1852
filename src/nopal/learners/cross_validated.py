"""Predictions that are as uncertain as errors on left-out support examples say (the idea of cross-conformal prediction,
Vovk 2015, Annals of Mathematics and Artificial Intelligence 74, without its guarantee)."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from nopal.data.images import as_float
from nopal.errors import NopalError
from nopal.learners.averaging import check_uncoupled
from nopal.learners.learner import Aux, MetaLearner, Predictor, WrappingLearner
from nopal.tasks.circle import Circular
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Target


class CrossValidated(WrappingLearner):
    """`learner` of angles that also adapts to the support set without a part of it, and predicts that, for each part.

    Its errors there tell how wrong its predictions for queries may be (`Circular.spread`). There are at most `folds`
    parts, all of one size, and adaptation takes up to `folds + 1` times as long. Meta-training and its score are the
    learner's own.
    """

    learner: MetaLearner
    folds: int = eqx.field(static=True)

    def __init__(self, learner: MetaLearner, folds: int = 5):
        """Raises `NopalError` for fewer than two folds, and a learner that is cross-validated already or whose
        objective couples tasks."""
        check_uncoupled(learner)
        if isinstance(learner, CrossValidated):
            raise NopalError("This learner is cross-validated already; give the one inside.")
        if folds < 2:
            raise NopalError(f"The support set is to be divided into {folds} parts; expected at least 2.")
        self.learner, self.folds = learner, folds

    def loss(self, episode: Episode, *, key: PRNGKeyArray) -> tuple[Float[Array, ""], Aux]:
        _points(episode.query.target)
        return self.learner.loss(episode, key=key)

    def adapt(
        self, support: Examples | None, *, key: PRNGKeyArray | None = None, steps: int | None = None
    ) -> Predictor:
        """See `Learner.adapt`. Raises `NopalError` for other targets than `Circular`, and for a single example."""
        predictor = self.learner.adapt(support, key=key, steps=steps)
        if support is None:
            return predictor
        target, m = _points(support.target), len(support.x)
        if m < 2:
            raise NopalError("A support set of one example has none to leave out; expected at least 2.")
        size = -(-m // self.folds)  # parts are of one size; the last begins anew where examples run out

        def errors(fold: Array) -> Float[Array, "size"]:
            x, y = (jnp.roll(part, -fold * size, axis=0) for part in (support.x, support.y))
            kept = self.learner.adapt(Examples(x[size:], y[size:], target), key=key, steps=steps)
            return target.angle(kept(x[:size])) - target.angle(target.encode(y[:size]))

        found = jax.lax.map(errors, jnp.arange(-(-m // size)))
        return Uncertain(predictor, found.ravel()[:m], target)


class Uncertain(eqx.Module):
    """A predictor of points on a circle, and its errors where they are known, in radians."""

    predictor: Predictor
    errors: Float[Array, "n"]
    target: Circular = eqx.field(static=True)

    def __call__(self, x: Shaped[Array, "m ..."]) -> Float[Array, "m k"]:
        return self.target.spread(self.predictor(as_float(x)), self.errors)


def _points(target: Target) -> Circular:
    if not isinstance(target, Circular):
        raise NopalError(
            f"Errors on left-out examples are those of points on a circle, but this task predicts {target}; expected "
            "Circular (VonMises says by itself how sure it is)."
        )
    return target
