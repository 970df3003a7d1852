"""Neural processes (Garnelo et al. 2018, arXiv 1807.01622): what is known about a task is a distribution of a latent
vector, so that few examples leave many functions possible."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random
from jaxtyping import Array, Float, PRNGKeyArray

from nopal.errors import check_choice
from nopal.learners.averaging import average_draws, check_strength
from nopal.learners.conditional_neural_process import Decoder, OverQueries, PointEncoder
from nopal.learners.learner import Aux, MetaLearner, Predictor
from nopal.nets.mlp import MLP
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Target


class Normal(NamedTuple):
    """Independent normal distributions."""

    mean: Float[Array, "d"]
    scale: Float[Array, "d"]

    def sample(self, key: PRNGKeyArray) -> Float[Array, "d"]:
        return self.mean + self.scale * jax.random.normal(key, self.mean.shape, self.mean.dtype)

    def kl(self, other: Normal) -> Float[Array, ""]:
        """KL(self || other) in nats."""
        ratio = (self.scale / other.scale) ** 2
        return 0.5 * jnp.sum(ratio + ((self.mean - other.mean) / other.scale) ** 2 - 1 - jnp.log(ratio))


class LatentPath(eqx.Module):
    """Examples -> the distribution of the task's latent vector, of which scales lie between 0.1 and 1."""

    points: PointEncoder
    head: MLP

    def __init__(
        self,
        inputs: int,
        labels: int,
        latent: int,
        *,
        representation: int,
        hidden: tuple[int, ...],
        key: PRNGKeyArray,
    ):
        first, second = random.split(key)
        self.points = PointEncoder(inputs, labels, representation, hidden=hidden, lift=None, deviation=None, key=first)
        self.head = MLP(representation, 2 * latent, hidden=(representation,), key=second)

    def __call__(self, examples: Examples | None) -> Normal:
        centre, raw = jnp.split(self.head(self.points.mean(examples)[None])[0][0], 2)
        return Normal(centre, 0.1 + 0.9 * jax.nn.sigmoid(raw))


class NeuralProcess(MetaLearner):
    """Support set -> distribution of a latent vector -> decoder, beside each query's input.

    The loss is the negative evidence lower bound, of all queries or for one of them: the latent vector comes from
    support and queries together, at the price of the divergence from what the support set alone says. Predictions
    average over `samples` latent vectors; with 0 the mean takes their place.
    """

    latent: LatentPath
    decoder: MLP
    inputs: int = eqx.field(static=True)
    over_queries: OverQueries = eqx.field(static=True)
    samples: int = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        target: Target,
        *,
        latent: int = 64,
        representation: int = 100,
        hidden: tuple[int, ...] = (100, 100),
        over_queries: OverQueries = "mean",
        samples: int = 0,
        key: PRNGKeyArray,
    ):
        """Widths are those of `ConditionalNeuralProcess`. Raises `NopalError` for widths that are not positive and a
        negative number of samples."""
        check_strength(0.0, samples)
        first, second = random.split(key)
        self.latent = LatentPath(inputs, target.width, latent, representation=representation, hidden=hidden, key=first)
        self.decoder = MLP(inputs + latent, target.width, hidden=hidden, key=second)
        check_choice("over_queries", over_queries, OverQueries)
        self.inputs, self.over_queries, self.samples = inputs, over_queries, samples

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.inputs,)

    def adapt(
        self, support: Examples | None, *, key: PRNGKeyArray | None = None, steps: int | None = None
    ) -> Predictor:
        """See `Learner.adapt`. Raises `NopalError` where draws are to be averaged and no key is given."""
        prior = self.latent(support)
        if self.samples == 0:
            return self.predictor(support, prior.mean)
        return average_draws(lambda key: self.predictor(support, prior.sample(key)), self.samples, support, key)

    def loss(self, episode: Episode, *, key: PRNGKeyArray) -> tuple[Float[Array, ""], Aux]:
        query = episode.query
        posterior = self.latent(together(episode))
        outputs = self.predictor(episode.support, posterior.sample(key))(query.x)
        losses, kl = query.target.loss(outputs, query.y), posterior.kl(self.latent(episode.support))
        value = losses.sum() + kl
        value = value / len(losses) if self.over_queries == "mean" else value
        return value, {"score": query.target.score(outputs, query.y).mean(), "latent_kl": kl}

    def predictor(self, support: Examples | None, latent: Float[Array, "l"]) -> Predictor:
        """The predictor of one latent vector."""
        return Decoder(self.decoder, latent)


def together(episode: Episode) -> Examples:
    """Support and queries as one set."""
    support, query = episode.support, episode.query
    return Examples(jnp.concatenate([support.x, query.x]), jnp.concatenate([support.y, query.y]), query.target)
