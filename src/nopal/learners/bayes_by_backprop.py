"""Bayes by backprop (Blundell et al. 2015, arXiv 1505.05424) on all weights of a meta-learner: the standard regulariser
with which Yin et al. (2020, arXiv 1912.03820) compare meta-regularisation."""

from __future__ import annotations

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from nopal.errors import NopalError
from nopal.learners.averaging import average_draws, check_strength, check_uncoupled
from nopal.learners.learner import Aux, MetaLearner, Predictor
from nopal.nets.mean_field import MeanField
from nopal.nets.normalisation import Statistics
from nopal.tasks.episode import Episode, Examples


class BayesByBackprop(MetaLearner):
    """Any meta-learner, all of whose kernels are drawn once for each meta-training step; its loss is the learner's plus
    `beta` times KL(q || N(0, 1)) of the weights.

    Predictions average over `samples` draws, each adapted on its own; with 0 the means take the place of draws.
    """

    weights: MeanField[MetaLearner]
    drawn: tuple[MetaLearner, Float[Array, ""]] | None
    beta: float = eqx.field(static=True)
    samples: int = eqx.field(static=True)

    def __init__(
        self,
        learner: MetaLearner,
        *,
        beta: float = 1e-3,
        scale: float = 0.05,
        random: tuple[str, ...] = ("*kernel", "!*rates*"),
        samples: int = 0,
    ):
        """`scale` and `random` are those of `MeanField`; inner rates that are learned stay certain. Raises
        `NopalError` for a negative `beta` or number of samples, for a learner that keeps running statistics, that has
        random weights of its own, or whose objective couples tasks."""
        check_strength(beta, samples)
        check_uncoupled(learner)
        _check_statistics(learner.statistics)
        if any(map(_is_random, jax.tree.leaves(learner, is_leaf=_is_random))):
            raise NopalError("Some weights of this learner are random already; give one whose weights are certain.")
        self.weights, self.drawn = MeanField(learner, scale=scale, random=random), None
        self.beta, self.samples = beta, samples

    @property
    def shape(self) -> tuple[int, ...]:
        return self.weights.mean.shape

    @property
    def statistics(self) -> str:
        return self.weights.mean.statistics

    @property
    def steps(self) -> int | None:
        return self.weights.mean.steps

    def with_statistics(self, statistics: Statistics) -> BayesByBackprop:
        _check_statistics(statistics)
        return eqx.tree_at(lambda self: self.weights.mean, self, self.weights.mean.with_statistics(statistics))

    def for_step(self, key: PRNGKeyArray) -> BayesByBackprop:
        own, inner = jax.random.split(key)
        drawn = self.weights.sample(own).for_step(inner), self.weights.kl
        return eqx.tree_at(lambda self: self.drawn, self, drawn, is_leaf=lambda leaf: leaf is None)

    def loss(self, episode: Episode, *, key: PRNGKeyArray) -> tuple[Float[Array, ""], Aux]:
        weights, inner = jax.random.split(key)
        learner, kl = self.drawn or (self.weights.sample(weights), self.weights.kl)
        value, aux = learner.loss(episode, key=inner)
        return value + self.beta * kl, aux | {"kl": kl}

    def adapt(
        self, support: Examples | None, *, key: PRNGKeyArray | None = None, steps: int | None = None
    ) -> Predictor:
        """See `Learner.adapt`. Raises `NopalError` where draws are to be averaged and no key is given."""
        if self.samples == 0:
            return self.weights.mean.adapt(support, key=key, steps=steps)

        def drawn(key: PRNGKeyArray) -> Predictor:
            weights, rest = jax.random.split(key)
            return self.weights.sample(weights).adapt(support, key=rest, steps=steps)

        return average_draws(drawn, self.samples, support, key)


def _check_statistics(statistics: str) -> None:
    if statistics == "running":
        raise NopalError("Statistics of weights that are drawn anew can't be kept; choose other statistics.")


def _is_random(part: object) -> bool:
    return isinstance(part, MeanField)
