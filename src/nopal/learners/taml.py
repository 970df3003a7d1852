"""Task-agnostic meta-learning (Jamal and Qi 2019, arXiv 1805.07722): initial weights that prefer no task over another,
either because they predict nothing in particular, or because they are equally bad at all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nopal.errors import NopalError, check_choice
from nopal.learners.learner import Aux, CoupledLearner, WrappingLearner
from nopal.learners.maml import MAML
from nopal.tasks.circle import VonMises
from nopal.tasks.episode import Episode
from nopal.tasks.target import Categorical, Gaussian

Regulariser = Literal["entropy", "theil", "atkinson", "gini"]


class TAML(WrappingLearner, CoupledLearner):
    """MAML with `weight` times a regulariser of its initial weights.

    `"entropy"` asks for uncertain predictions of the queries before the inner loop and certain ones after it; it needs
    classes. The others measure the inequality, among the tasks of a step, of the support set's loss before the inner
    loop: Theil's index, Atkinson's (of inequality aversion 1/2), or Gini's coefficient. They don't depend on the unit
    of the loss, but on where its zero is: for numbers the loss is the squared error, as published.
    """

    learner: MAML
    regulariser: Regulariser = eqx.field(static=True)
    weight: float = eqx.field(static=True)

    def __init__(self, maml: MAML, *, regulariser: Regulariser = "entropy", weight: float = 0.1):
        """Raises `NopalError` for a negative weight, an unknown regulariser, and a learner that is not `MAML`."""
        if not isinstance(maml, MAML):
            raise NopalError(f"The learner of TAML is a {type(maml).__name__}; expected a MAML.")
        if not 0 <= weight < float("inf"):
            raise NopalError(f"The weight of the regulariser is {weight}; expected a number from 0 on.")
        check_choice("regulariser", regulariser, Regulariser)
        self.learner, self.regulariser, self.weight = maml, regulariser, weight

    def loss(self, episode: Episode, *, key: PRNGKeyArray | None = None) -> tuple[Float[Array, ""], Aux]:
        after = self.learner.answer_in_training(episode, self.learner.inner_steps)
        value, aux = self.learner.judge(after, episode.query)
        if self.regulariser != "entropy":
            return value, aux
        if not isinstance(episode.target, Categorical):
            raise NopalError(f"Entropies need classes, but this task predicts {episode.target}; use 'theil'.")
        change = entropy(after) - entropy(self.learner.answer_in_training(episode, 0))
        return value + self.weight * change, aux | {"entropy_change": change}

    def coupling(self, episode: Episode, *, key: PRNGKeyArray | None = None) -> Float[Array, "1"]:
        if self.regulariser == "entropy":
            return jnp.zeros(1)
        support = episode.support
        outputs = self.learner.answer_in_training(Episode(support, support), 0)
        target = support.target
        losses = (target.score if isinstance(target, Gaussian | VonMises) else target.loss)(outputs, support.y)
        # A task that is predicted perfectly has no logarithm, and no slope of a root.
        return losses.mean(keepdims=True) + jnp.finfo(losses.dtype).eps

    def couple(self, coupling: Float[Array, "tasks 1"]) -> Float[Array, ""]:
        if self.regulariser == "entropy":
            return jnp.zeros(())
        if self.weight and len(coupling) < 2:
            raise NopalError(f"One task a step has no {self.regulariser} index; expected 2 tasks or more.")
        return self.weight * INEQUALITIES[self.regulariser](coupling[:, 0])


def entropy(logits: Float[Array, "m way"]) -> Float[Array, ""]:
    """The mean entropy of predictions, in nats."""
    log = jax.nn.log_softmax(logits)
    return -(jnp.exp(log) * log).sum(1).mean()


def theil(losses: Float[Array, "tasks"]) -> Float[Array, ""]:
    """Theil's index of positive numbers: 0 where all are equal, log(tasks) where one has it all."""
    share = losses / losses.mean()
    return (share * jnp.log(share)).mean()


def atkinson(losses: Float[Array, "tasks"]) -> Float[Array, ""]:
    """Atkinson's index of positive numbers, with an inequality aversion of 1/2."""
    return 1 - jnp.sqrt(losses).mean() ** 2 / losses.mean()


def gini(losses: Float[Array, "tasks"]) -> Float[Array, ""]:
    """Gini's coefficient: half the mean absolute difference of two numbers, over their mean."""
    return jnp.abs(losses[:, None] - losses).mean() / (2 * losses.mean())


INEQUALITIES: dict[str, Callable[[Float[Array, "tasks"]], Float[Array, ""]]] = {
    "theil": theil,
    "atkinson": atkinson,
    "gini": gini,
}
