"""What every method is to the rest of the house: something that adapts to a support set and then predicts."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Shaped

from nopal.errors import NopalError, check_choice
from nopal.nets.network import Network
from nopal.nets.normalisation import Moments, Normalisation, Statistics
from nopal.tasks.episode import Episode, Examples

M = TypeVar("M", bound="MetaLearner")
N = TypeVar("N", bound="NormalisingLearner")
W = TypeVar("W", bound="WrappingLearner")

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

    @property
    def steps(self) -> int | None:
        """Inner steps that `adapt` takes where it is told no other number; None where it takes none."""
        return None


class MetaLearner(Learner):
    """A learner whose floating-point arrays are meta-trained."""

    shares_examples: ClassVar[bool] = False
    """Whether devices without a task of their own take over a part of another's examples: worth it where a task is one
    large batch."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of one input."""

    @abstractmethod
    def loss(self, episode: Episode, *, key: PRNGKeyArray) -> tuple[Float[Array, ""], Aux]:
        """The meta-loss of one episode, and what logs need: `score` at least."""

    def for_step(self: M, key: PRNGKeyArray) -> M:
        """This learner with what it draws once for all tasks of a meta-training step; here it draws nothing.

        Its floating-point arrays are functions of this learner's, through which meta-gradients flow back.
        """
        return self

    def with_statistics(self: M, statistics: Statistics) -> M:
        """This learner, with another choice of normalisation statistics for queries."""
        raise NopalError("This learner normalises nothing, so there are no statistics to choose.")

    def episode_statistics(self, episode: Episode) -> PyTree | None:
        """The normalisation statistics of one meta-training episode; None where the learner keeps no running ones."""
        return None

    def with_running(self: M, statistics: PyTree) -> M:
        """This learner, with running statistics to normalise by."""
        raise NopalError("This learner normalises nothing, so it takes no running statistics.")

    def blank_running(self) -> PyTree | None:
        """Running statistics of zeros, of the shapes that calibration gives; None where the learner keeps none."""
        return None


class CoupledLearner(MetaLearner):
    """A meta-learner whose objective has a part that can't be divided among the tasks of a step.

    What is minimised is the mean over tasks of `loss`, plus `couple` of the `coupling` of all tasks. Gradients stay
    those of single tasks, weighted by the derivatives of `couple`.
    """

    @abstractmethod
    def coupling(self, episode: Episode, *, key: PRNGKeyArray) -> Float[Array, "k"]:
        """What one task contributes."""

    @abstractmethod
    def couple(self, coupling: Float[Array, "tasks k"]) -> Float[Array, ""]:
        """The part of the objective that all tasks make together."""


class WrappingLearner(MetaLearner):
    """A meta-learner around another one, which answers for what is not said here."""

    learner: eqx.AbstractVar[MetaLearner]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.learner.shape

    @property
    def statistics(self) -> str:
        return self.learner.statistics

    @property
    def steps(self) -> int | None:
        return self.learner.steps

    def adapt(
        self, support: Examples | None, *, key: PRNGKeyArray | None = None, steps: int | None = None
    ) -> Predictor:
        return self.learner.adapt(support, key=key, steps=steps)

    def for_step(self: W, key: PRNGKeyArray) -> W:
        return self.around(self.learner.for_step(key))

    def episode_statistics(self, episode: Episode) -> PyTree | None:
        return self.learner.episode_statistics(episode)

    def with_statistics(self: W, statistics: Statistics) -> W:
        return self.around(self.learner.with_statistics(statistics))

    def with_running(self: W, statistics: PyTree) -> W:
        return self.around(self.learner.with_running(statistics))

    def blank_running(self) -> PyTree | None:
        return self.learner.blank_running()

    def around(self: W, learner: MetaLearner) -> W:
        """The same around another learner."""
        return eqx.tree_at(lambda self: self.learner, self, learner)


class NormalisingLearner(MetaLearner):
    """A meta-learner with one network, whose activations are normalised by `query_statistics` in predictions."""

    network: eqx.AbstractVar[Network]
    running: eqx.AbstractVar[tuple[Moments, ...] | None]
    query_statistics: eqx.AbstractVar[Statistics]

    def __check_init__(self) -> None:
        check_choice("statistics", self.query_statistics, Statistics)

    @property
    def statistics(self) -> str:
        def normalises(part: object) -> bool:
            return isinstance(part, Normalisation)

        parts = jax.tree.leaves(self.network, is_leaf=normalises)
        return self.query_statistics if any(map(normalises, parts)) else "none"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.network.shape

    def with_statistics(self: N, statistics: Statistics) -> N:
        check_choice("statistics", statistics, Statistics)
        changed = copy.copy(self)
        object.__setattr__(changed, "query_statistics", statistics)
        return changed

    def with_running(self: N, statistics: PyTree) -> N:
        return eqx.tree_at(lambda learner: learner.running, self, statistics, is_leaf=lambda leaf: leaf is None)

    def blank_running(self) -> PyTree | None:
        if self.query_statistics != "running":
            return None
        blank = jnp.zeros((2, *self.shape))
        moments = jax.eval_shape(lambda network: network(blank, None)[1], self.network)
        return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), moments)
