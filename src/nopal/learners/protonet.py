"""Prototypical networks (Snell, Swersky, Zemel 2017, arXiv 1703.05175): a class is the mean of its support embeddings,
and a query belongs to the nearest one."""

from __future__ import annotations

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from nopal.data.images import as_float
from nopal.errors import NopalError
from nopal.learners.learner import Aux, NormalisingLearner
from nopal.nets.network import Network
from nopal.nets.normalisation import Moments, Statistics
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Categorical


class ProtoNet(NormalisingLearner):
    """Softmax over negative squared Euclidean distances to class means.

    `network(x, statistics)` returns embeddings and the normalisation statistics it used. In meta-training support and
    queries go through it as one batch, as published; `statistics` says what normalises at test: the support set, that
    same joint batch (transductive), or running statistics, which are the published choice and need `nopal.calibrate`.
    """

    network: Network
    running: tuple[Moments, ...] | None
    query_statistics: Statistics = eqx.field(static=True)
    shares_examples: ClassVar[bool] = True

    def __init__(self, network: Network, *, statistics: Statistics = "support"):
        self.network, self.running, self.query_statistics = network, None, statistics

    def adapt(
        self, support: Examples | None, *, key: PRNGKeyArray | None = None, steps: int | None = None
    ) -> Prototypes | JointPrototypes:
        if support is None:
            raise NopalError(
                "Prototypical networks predict nothing without a support set; give at least one example a class."
            )
        if self.query_statistics == "transductive":
            return JointPrototypes(self.network, support)
        if self.statistics == "running" and self.running is None:
            raise NopalError("This network has no running statistics yet; call nopal.calibrate after meta-training.")
        embedded, moments = self.network(support.x, self.running if self.query_statistics == "running" else None)
        return Prototypes(self.network, moments, class_means(embedded, support))

    def loss(self, episode: Episode, *, key: PRNGKeyArray | None = None) -> tuple[Float[Array, ""], Aux]:
        query = episode.query
        logits = JointPrototypes(self.network, episode.support)(query.x)
        return query.target.loss(logits, query.y).mean(), {"score": query.target.score(logits, query.y).mean()}

    def episode_statistics(self, episode: Episode) -> tuple[Moments, ...] | None:
        if self.query_statistics != "running":
            return None
        return self.network(jnp.concatenate([episode.support.x, episode.query.x]), None)[1]


class Prototypes(eqx.Module):
    """Class means, and the network with the statistics that made them: inputs -> logits."""

    network: Network
    moments: tuple[Moments, ...]
    means: Float[Array, "way d"]

    def __call__(self, x: Shaped[Array, "m ..."]) -> Float[Array, "m way"]:
        return -squared_distances(self.network(as_float(x), self.moments)[0], self.means)


class JointPrototypes(eqx.Module):
    """Support set and queries embedded as one batch, so that each query has a part in the statistics of all."""

    network: Network
    support: Examples

    def __call__(self, x: Shaped[Array, "m ..."]) -> Float[Array, "m way"]:
        embedded, _ = self.network(jnp.concatenate([self.support.x, as_float(x)]), None)
        support, queries = jnp.split(embedded, [len(self.support.x)])
        return -squared_distances(queries, class_means(support, self.support))


def class_means(embedded: Float[Array, "m d"], examples: Examples) -> Float[Array, "way d"]:
    """The mean embedding of each class, whatever the number of its examples; infinitely far away where it has none."""
    if not isinstance(examples.target, Categorical):
        raise NopalError(f"Prototypes need classes, but this task predicts {examples.target}.")
    members = (examples.y == jnp.arange(examples.target.way)[:, None]).astype(embedded.dtype)
    count = members.sum(1, keepdims=True)
    return jnp.where(count > 0, members @ embedded / jnp.maximum(count, 1), jnp.inf)


def squared_distances(a: Float[Array, "m d"], b: Float[Array, "n d"]) -> Float[Array, "m n"]:
    """Squared Euclidean distances between rows."""
    return jnp.sum((a[:, None] - b) ** 2, axis=-1)
