"""Learners whose adaptation is a formula: a network embeds the examples, and the support set's embeddings determine
what predicts from an embedding."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from nopal.data.images import as_float
from nopal.errors import NopalError
from nopal.learners.learner import Aux, NormalisingLearner, Predictor
from nopal.nets.network import Network
from nopal.nets.normalisation import Moments
from nopal.tasks.episode import Episode, Examples

Head = Callable[[Float[Array, "m d"]], Float[Array, "m parameters"]]
"""From embeddings to the parameters of the target."""


class ClosedFormLearner(NormalisingLearner):
    """`network(x, statistics)` returns embeddings and the normalisation statistics it used.

    In meta-training support and queries go through it as one batch; `query_statistics` says what normalises at test:
    the support set, that same joint batch (transductive), or running statistics, which need `nopal.calibrate`. The
    gradient of the meta-loss goes through the formula; nothing is adapted by steps, so `steps` has no effect.
    """

    @abstractmethod
    def fit(self, embedded: Float[Array, "m d"], support: Examples) -> Head:
        """What predicts in the task of `support`, whose inputs are embedded as `embedded`."""

    @abstractmethod
    def unfitted(self) -> Predictor:
        """The prediction without a support set; raises `NopalError` where there is none."""

    def adapt(
        self, support: Examples | None, *, key: PRNGKeyArray | None = None, steps: int | None = None
    ) -> Predictor:
        if support is None:
            return self.unfitted()
        if self.query_statistics == "transductive":
            return Jointly(self, support)
        if self.statistics == "running" and self.running is None:
            raise NopalError("This network has no running statistics yet; call nopal.calibrate after meta-training.")
        embedded, moments = self.network(support.x, self.running if self.query_statistics == "running" else None)
        return Fitted(self.network, moments, self.fit(embedded, support))

    def loss(self, episode: Episode, *, key: PRNGKeyArray | None = None) -> tuple[Float[Array, ""], Aux]:
        query = episode.query
        outputs = Jointly(self, episode.support)(query.x)
        return query.target.loss(outputs, query.y).mean(), {"score": query.target.score(outputs, query.y).mean()}

    def episode_statistics(self, episode: Episode) -> tuple[Moments, ...] | None:
        if self.query_statistics != "running":
            return None
        return self.network(jnp.concatenate([episode.support.x, episode.query.x]), None)[1]


class Fitted(eqx.Module):
    """A head, and the network with the statistics that made its embeddings."""

    network: Network
    moments: tuple[Moments, ...]
    head: Head

    def __call__(self, x: Shaped[Array, "m ..."]) -> Float[Array, "m parameters"]:
        return self.head(self.network(as_float(x), self.moments)[0])


class Jointly(eqx.Module):
    """Support set and queries embedded as one batch, so that each query has a part in the statistics of all."""

    learner: ClosedFormLearner
    support: Examples

    def __call__(self, x: Shaped[Array, "m ..."]) -> Float[Array, "m parameters"]:
        embedded, _ = self.learner.network(jnp.concatenate([self.support.x, as_float(x)]), None)
        support, queries = jnp.split(embedded, [len(self.support.x)])
        return self.learner.fit(support, self.support)(queries)
