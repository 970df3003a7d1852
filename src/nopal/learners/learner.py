"""What every method is to the rest of the house: something that adapts to a support set and then predicts."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeVar

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Shaped

from nopal.nets.network import Network
from nopal.nets.normalisation import Moments, Statistics
from nopal.tasks.episode import Episode, Examples

M = TypeVar("M", bound="MetaLearner")

Predictor = Callable[[Shaped[Array, "m ..."]], Float[Array, "m parameters"]]
"""From inputs to the parameters of the target (logits for classes); each row is one prediction."""

Aux = dict[str, Float[Array, ""]]


class Learner(eqx.Module):
    """Adapts to a support set. Nearest neighbours are a learner, and so is MAML; one `evaluate` serves them all."""

    @abstractmethod
    def adapt(
        self, support: Examples | None, *, key: PRNGKeyArray | None = None, steps: int | None = None
    ) -> Predictor:
        """A predictor for the task of `support`; `None` gives the predictor before any adaptation.

        `key` is for stochastic learners, `steps` overrides the number of inner steps where there are any. Raises
        `NopalError` where the learner has no prediction without a support set.
        """

    def answer(
        self, episode: Episode, *, key: PRNGKeyArray | None = None, steps: int | None = None
    ) -> Float[Array, "m parameters"]:
        """Predictions for the queries of an episode, from its support set; this is what is scored.

        Only a baseline whose name says so does anything else here.
        """
        return self.adapt(episode.support, key=key, steps=steps)(episode.query.x)

    @property
    def statistics(self) -> str:
        """Which normalisation statistics predictions use: "none", "support", "transductive" or "running"; printed in
        every table."""
        return "none"


class MetaLearner(Learner):
    """A learner whose floating-point arrays are meta-trained; its predictions normalise by `query_statistics`."""

    network: eqx.AbstractVar[Network]
    running: eqx.AbstractVar[tuple[Moments, ...] | None]
    query_statistics: eqx.AbstractVar[Statistics]
    shares_examples: ClassVar[bool] = False
    """Whether devices without a task of their own take over a part of another's examples: worth it where a task is one
    large batch."""

    @property
    def statistics(self) -> str:
        return self.query_statistics

    @abstractmethod
    def loss(self, episode: Episode, *, key: PRNGKeyArray) -> tuple[Float[Array, ""], Aux]:
        """The meta-loss of one episode, and what logs need: `score` at least."""

    def with_statistics(self: M, statistics: Statistics) -> M:
        """This learner, with another choice of normalisation statistics for queries."""
        changed = copy.copy(self)
        object.__setattr__(changed, "query_statistics", statistics)
        return changed

    def episode_statistics(self, episode: Episode) -> PyTree | None:
        """The normalisation statistics of one meta-training episode; None where the learner keeps no running ones."""
        return None

    def with_running(self: M, statistics: PyTree) -> M:
        """This learner, with running statistics to normalise by."""
        return eqx.tree_at(lambda learner: learner.running, self, statistics, is_leaf=lambda leaf: leaf is None)
