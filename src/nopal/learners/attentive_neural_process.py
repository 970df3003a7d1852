"""Attentive neural processes (Kim et al. 2019, arXiv 1901.05761): each query attends to the examples of the support set
that are like it."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from nopal.data.images import as_float
from nopal.errors import NopalError, check_choice
from nopal.learners.averaging import check_strength
from nopal.learners.conditional_neural_process import OverQueries, PointEncoder
from nopal.learners.neural_process import LatentPath, NeuralProcess
from nopal.nets.mlp import MLP
from nopal.tasks.episode import Examples
from nopal.tasks.target import Target


class Attention(eqx.Module):
    """Dot-product attention with several heads, each of which sees an equal part of queries, keys and values."""

    heads: int = eqx.field(static=True)

    def __call__(
        self, queries: Float[Array, "m d"], keys: Float[Array, "n d"], values: Float[Array, "n e"]
    ) -> Float[Array, "m e"]:
        q, k, v = (x.reshape(len(x), self.heads, -1) for x in (queries, keys, values))
        alike = jnp.einsum("mhd,nhd->hmn", q, k) / math.sqrt(q.shape[2])
        return jnp.einsum("hmn,nhe->mhe", jax.nn.softmax(alike), v).reshape(len(queries), -1)


class AttentiveNeuralProcess(NeuralProcess):
    """A neural process whose decoder also sees what its query finds in the support set by attention.

    Keys are what one network makes of the inputs, values what another makes of inputs with labels. An empty support set
    has the value 0. Loss and predictions are those of `NeuralProcess`.
    """

    keys: MLP
    points: PointEncoder
    attention: Attention

    def __init__(
        self,
        inputs: int,
        target: Target,
        *,
        latent: int = 64,
        representation: int = 96,
        hidden: tuple[int, ...] = (96, 96),
        heads: int = 8,
        over_queries: OverQueries = "mean",
        samples: int = 0,
        key: PRNGKeyArray,
    ):
        """Raises `NopalError` for widths that are not positive, a `representation` that the heads don't divide and a
        negative number of samples."""
        check_strength(0.0, samples)
        if heads < 1 or representation % heads:
            raise NopalError(
                f"{heads} heads can't share a representation of {representation} numbers; choose a divisor of it."
            )
        of_latent, of_keys, of_points, of_decoder = random.split(key, 4)
        self.latent = LatentPath(
            inputs, target.width, latent, representation=representation, hidden=hidden, key=of_latent
        )
        self.keys = MLP(inputs, representation, hidden=hidden, key=of_keys)
        self.points = PointEncoder(
            inputs, target.width, representation, hidden=hidden, lift=None, deviation=None, key=of_points
        )
        self.decoder = MLP(inputs + representation + latent, target.width, hidden=hidden, key=of_decoder)
        self.attention = Attention(heads)
        check_choice("over_queries", over_queries, OverQueries)
        self.inputs, self.over_queries, self.samples = inputs, over_queries, samples

    def predictor(self, support: Examples | None, latent: Float[Array, "l"]) -> AttentivePredictor:
        if support is None or len(support.x) == 0:
            return AttentivePredictor(self, None, None, latent)
        return AttentivePredictor(self, self.keys(support.x)[0], self.points(support), latent)


class AttentivePredictor(eqx.Module):
    """The support set's keys and values, and one latent vector: inputs -> parameters of the target."""

    learner: AttentiveNeuralProcess
    keys: Float[Array, "n d"] | None
    values: Float[Array, "n d"] | None
    latent: Float[Array, "l"]

    def __call__(self, x: Shaped[Array, "m ..."]) -> Float[Array, "m parameters"]:
        x, learner = as_float(x), self.learner
        queries = learner.keys(x)[0]
        if self.keys is None or self.values is None:
            found = jnp.zeros_like(queries)
        else:
            found = learner.attention(queries, self.keys, self.values)
        latent = jnp.broadcast_to(self.latent, (len(x), len(self.latent)))
        return learner.decoder(jnp.concatenate([x, found, latent], axis=1))[0]
