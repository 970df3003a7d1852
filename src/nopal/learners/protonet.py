"""Prototypical networks (Snell, Swersky, Zemel 2017, arXiv 1703.05175): a class is the mean of its support embeddings,
and a query belongs to the nearest one."""

from __future__ import annotations

from typing import ClassVar, NoReturn

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from nopal.errors import NopalError
from nopal.learners.closed_form import ClosedFormLearner
from nopal.nets.network import Network
from nopal.nets.normalisation import Moments, Statistics
from nopal.tasks.episode import Examples
from nopal.tasks.target import Categorical


class ProtoNet(ClosedFormLearner):
    """Softmax over negative squared Euclidean distances to class means.

    Published: `statistics="running"`; see `ClosedFormLearner` for the others.
    """

    network: Network
    running: tuple[Moments, ...] | None
    query_statistics: Statistics = eqx.field(static=True)
    shares_examples: ClassVar[bool] = True

    def __init__(self, network: Network, *, statistics: Statistics = "support"):
        self.network, self.running, self.query_statistics = network, None, statistics

    def fit(self, embedded: Float[Array, "m d"], support: Examples) -> Prototypes:
        return Prototypes(class_means(embedded, support))

    def unfitted(self) -> NoReturn:
        raise NopalError(
            "Prototypical networks predict nothing without a support set; give at least one example a class."
        )


class Prototypes(eqx.Module):
    """Class means: embeddings -> logits."""

    means: Float[Array, "way d"]

    def __call__(self, embedded: Float[Array, "m d"]) -> Float[Array, "m way"]:
        return -squared_distances(embedded, self.means)


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
