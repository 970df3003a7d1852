"""Conditional neural processes (Garnelo et al. 2018, arXiv 1807.01613): the mean of what a network makes of each
example of the support set is all that the predictor knows about the task."""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax.numpy as jnp
from jax import random
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from nopal.data.images import as_float
from nopal.errors import NopalError, check_choice
from nopal.learners.learner import Aux, MetaLearner
from nopal.nets.linear import Linear
from nopal.nets.mlp import MLP
from nopal.nets.network import check_inputs
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Target

OverQueries = Literal["mean", "sum"]


class PointEncoder(eqx.Module):
    """One vector for each example, from its input and its label; the label may be lifted to a wider vector first."""

    lift: Linear | None
    network: MLP
    inputs: int = eqx.field(static=True)
    labels: int = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        labels: int,
        outputs: int,
        *,
        hidden: tuple[int, ...],
        lift: int | None,
        deviation: float | None,
        key: PRNGKeyArray,
    ):
        first, second = random.split(key)
        self.lift = None if lift is None else MLP(labels, lift, hidden=(), deviation=deviation, key=first).layers[0]
        width = inputs + (labels if lift is None else lift)
        self.network = MLP(width, outputs, hidden=hidden, deviation=deviation, key=second)
        self.inputs, self.labels = inputs, labels

    def __call__(self, examples: Examples) -> Float[Array, "m d"]:
        """Raises `NopalError` for a task of another kind, or of another number of classes, and inputs of another
        shape."""
        if examples.target.width != self.labels:
            raise NopalError(
                f"The task predicts {examples.target}, but this learner was made for labels of {self.labels} numbers; "
                "give tasks of the target that it was made for."
            )
        check_inputs(examples.x, (self.inputs,))
        labels = examples.target.encode(examples.y)
        labels = labels if self.lift is None else self.lift(labels)
        return self.network(jnp.concatenate([examples.x, labels], axis=1))[0]

    def mean(self, examples: Examples | None) -> Float[Array, "d"]:
        """The mean vector of the examples; 0 where there are none."""
        if examples is None or len(examples.x) == 0:
            return jnp.zeros_like(self.network.layers[-1].bias)
        return self(examples).mean(0)


class ConditionalNeuralProcess(MetaLearner):
    """Support set -> the mean of its examples' vectors -> (a linear layer to `summary` numbers) -> decoder, beside each
    query's input.

    An empty support set has the mean 0. Nothing is adapted by gradients, so `steps` has no effect. Published for poses
    (Yin et al. 2020, arXiv 1912.03820), on features of 64: `representation=100, summary=64, lift=16, deviation=0.05`,
    and for meta-regularised activations `lift=32, decoder_deviation=0.05`.
    """

    points: PointEncoder
    summary: Linear | None
    decoder: MLP
    inputs: int = eqx.field(static=True)
    over_queries: OverQueries = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        target: Target,
        *,
        representation: int = 100,
        hidden: tuple[int, ...] = (100, 100),
        summary: int | None = None,
        lift: int | None = None,
        deviation: float | None = None,
        decoder_deviation: float | None = None,
        over_queries: OverQueries = "mean",
        key: PRNGKeyArray,
    ):
        """Inputs are vectors of `inputs` numbers; put an encoder before it for images (`MetaRegularised`).

        `hidden` are the layers of both networks; kernels are drawn Glorot-uniform, or normal: before the decoder with
        the standard `deviation`, those of the decoder with `decoder_deviation`. The loss is the mean over queries or,
        as in the authors' sinusoids, the sum. Raises `NopalError` for widths that are not positive.
        """
        first, second, third = random.split(key, 3)
        self.points = PointEncoder(
            inputs, target.width, representation, hidden=hidden, lift=lift, deviation=deviation, key=first
        )
        self.summary = (
            None
            if summary is None
            else MLP(representation, summary, hidden=(), deviation=deviation, key=second).layers[0]
        )
        width = inputs + (representation if summary is None else summary)
        self.decoder = MLP(width, target.width, hidden=hidden, deviation=decoder_deviation, key=third)
        check_choice("over_queries", over_queries, OverQueries)
        self.inputs, self.over_queries = inputs, over_queries

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.inputs,)

    def adapt(self, support: Examples | None, *, key: PRNGKeyArray | None = None, steps: int | None = None) -> Decoder:
        mean = self.points.mean(support)
        return Decoder(self.decoder, mean if self.summary is None else self.summary(mean[None])[0])

    def loss(self, episode: Episode, *, key: PRNGKeyArray | None = None) -> tuple[Float[Array, ""], Aux]:
        query = episode.query
        outputs = self.adapt(episode.support)(query.x)
        losses = query.target.loss(outputs, query.y)
        value = losses.mean() if self.over_queries == "mean" else losses.sum()
        return value, {"score": query.target.score(outputs, query.y).mean()}


class Decoder(eqx.Module):
    """Inputs, each beside the same task vector -> parameters of the target."""

    network: MLP
    task: Float[Array, "d"]

    def __call__(self, x: Shaped[Array, "m ..."]) -> Float[Array, "m parameters"]:
        x = as_float(x)
        check_inputs(x, (self.network.shape[0] - len(self.task),))
        return self.network(jnp.concatenate([x, jnp.broadcast_to(self.task, (len(x), len(self.task)))], axis=1))[0]
