"""The choices of learners on an encoder, which are never meta-trained: values of hyper-parameters to choose from on
labelled meta-validation tasks, for each difficulty by itself. A single value is taken as it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, PRNGKeyArray

from nopal.encoders import Encoder, Features
from nopal.errors import NopalError
from nopal.learners.cluster_matching import ClusterMatching
from nopal.learners.from_scratch import FromScratch
from nopal.learners.learner import Learner
from nopal.learners.logistic import Logistic
from nopal.learners.mlp_head import MLPHead, MLPStoppedOnQueries
from nopal.learners.nearest_neighbour import NearestNeighbour
from nopal.nets.normalisation import Statistics
from nopal.tuning import Settings, grid

Vectors = Callable[[], Float[np.ndarray, "n d"]]
"""Makes the unlabelled training vectors, where they are needed."""
Offer = Callable[[tuple[int, int]], list[tuple[Settings, Learner]]]
"""From way and shot to the learners to choose from."""


@dataclasses.dataclass(frozen=True)
class NearestNeighbourOptions:
    """k nearest neighbours on the embedding."""

    method: ClassVar[str] = "nearest_neighbour"
    title: ClassVar[str] = "kNN"
    neighbours: tuple[int, ...] = (1,)
    """numbers of neighbours; those above the size of the support set are left out"""

    def offer(self, vectors: Vectors, key: PRNGKeyArray) -> Offer:
        def candidates(at: tuple[int, int]) -> list[tuple[Settings, Learner]]:
            support = at[0] * at[1]
            few = [k for k in self.neighbours if k <= support]
            if self.neighbours and not few:
                raise NopalError(
                    f"The numbers of neighbours begin at {min(self.neighbours)}, but the support set has {support} "
                    "examples; name a smaller one."
                )
            return [(settings, NearestNeighbour(**settings, most=max(few))) for settings in grid(neighbours=few)]

        return candidates


@dataclasses.dataclass(frozen=True)
class LogisticOptions:
    """Multinomial logistic regression on the embedding."""

    method: ClassVar[str] = "logistic"
    title: ClassVar[str] = "linear"
    strengths: tuple[float, ...] = (1.0,)
    """inverse strengths of the L2 penalty"""

    def offer(self, vectors: Vectors, key: PRNGKeyArray) -> Offer:
        found: list[tuple[Settings, Learner]] = [(s, Logistic(**s)) for s in grid(strength=self.strengths)]
        return lambda at: found


@dataclasses.dataclass(frozen=True)
class MLPHeadOptions:
    """A perceptron with dropout on the embedding."""

    method: ClassVar[str] = "mlp_head"
    title: ClassVar[str] = "MLP with dropout"
    units: tuple[int, ...] = (128,)
    """numbers of hidden units"""
    dropouts: tuple[float, ...] = (0.5,)
    """shares of hidden units that are switched off in training"""
    epochs: tuple[int, ...] = (100,)
    """numbers of steps on the whole support set"""

    def offer(self, vectors: Vectors, key: PRNGKeyArray) -> Offer:
        settings = grid(units=self.units, dropout=self.dropouts, epochs=self.epochs)
        found: list[tuple[Settings, Learner]] = [(s, MLPHead(**s)) for s in settings]
        return lambda at: found


@dataclasses.dataclass(frozen=True)
class MLPStoppedOnQueriesOptions:
    """The same with the published leak: training stops by the loss on the labelled queries."""

    method: ClassVar[str] = "mlp_stopped_on_queries"
    title: ClassVar[str] = "MLP with dropout, stopped by the labels of the queries"
    units: tuple[int, ...] = (128,)
    """numbers of hidden units"""
    dropouts: tuple[float, ...] = (0.5,)
    """shares of hidden units that are switched off in training"""
    most_epochs: int = 500
    """steps on the whole support set at most"""

    def offer(self, vectors: Vectors, key: PRNGKeyArray) -> Offer:
        found: list[tuple[Settings, Learner]] = [
            (s, MLPStoppedOnQueries(**s | {"epochs": self.most_epochs}))
            for s in grid(units=self.units, dropout=self.dropouts)
        ]
        return lambda at: found


@dataclasses.dataclass(frozen=True)
class ClusterMatchingOptions:
    """Clusters of the training vectors take the labels of the support examples in them."""

    method: ClassVar[str] = "cluster_matching"
    title: ClassVar[str] = "cluster matching"
    clusters: int = 500
    repeats: int = 10
    """k-means clusterings, of which the tightest counts"""

    def offer(self, vectors: Vectors, key: PRNGKeyArray) -> Offer:
        matching = ClusterMatching.fit(vectors(), clusters=self.clusters, repeats=self.repeats, key=key)
        found: list[tuple[Settings, Learner]] = [({"clusters": self.clusters}, matching)]
        return lambda at: found


BaselineOptions = (
    NearestNeighbourOptions | LogisticOptions | MLPHeadOptions | MLPStoppedOnQueriesOptions | ClusterMatchingOptions
)


@dataclasses.dataclass(frozen=True)
class FineTunedEncoderOptions:
    """Gradient descent on each support set from the network of an encoder, with a new last layer of zeros."""

    method: ClassVar[str] = "fine_tuned_encoder"
    title: ClassVar[str] = "fine-tuning"
    rates: tuple[float, ...] = (0.01, 0.05)
    """step sizes on the support set"""
    steps: tuple[int, ...] = (5,)
    """numbers of steps"""
    adapted: tuple[str, ...] = ("*",)
    """parameters that are trained, as patterns such as head.*"""
    statistics: Statistics = "support"
    """what normalises queries: the support set, or all queries together (transductive)"""
    tuning_tasks: int = 50
    """meta-validation tasks to choose by; few, for each takes as long as a test task"""

    def offer(self, encoder: Encoder) -> Offer:
        """Raises `NopalError` for an encoder without such a network."""
        if not isinstance(encoder, Features):
            raise NopalError(f"A {type(encoder).__name__} is no network to fine-tune; give a classifier's encoder.")

        def candidates(at: tuple[int, int]) -> list[tuple[Settings, Learner]]:
            network = encoder.with_head(at[0])
            how: dict[str, Any] = {"adapted": self.adapted, "query_statistics": self.statistics}
            return [(s, FromScratch(network, **s, **how)) for s in grid(rate=self.rates, steps=self.steps)]

        return candidates
