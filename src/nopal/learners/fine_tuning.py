"""Fine-tuning: one model of all meta-training tasks together, then gradient descent on a task's support set; the
baseline without meta-learning of Yin et al. (2020, arXiv 1912.03820)."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nopal.learners.learner import Aux, WrappingLearner
from nopal.learners.maml import MAML, Adapted
from nopal.nets.network import Network
from nopal.nets.normalisation import Statistics
from nopal.tasks.episode import Episode


class FineTuning(WrappingLearner):
    """Support and queries are one batch of ordinary supervised learning in meta-training; only the test looks at which
    is which.

    Where tasks are classifications, labels must mean the same in all of them (non-mutually-exclusive tasks).
    """

    learner: MAML

    def __init__(
        self,
        network: Network,
        *,
        rate: float = 0.01,
        steps: int = 20,
        adapted: tuple[str, ...] = ("*",),
        statistics: Statistics = "support",
    ):
        """`rate` and `steps` are those of the descent on a support set. Raises `NopalError` where `MAML` does."""
        self.learner = MAML(
            network, inner_rate=rate, inner_steps=steps, first_order=True, adapted=adapted, statistics=statistics
        )

    def loss(self, episode: Episode, *, key: PRNGKeyArray | None = None) -> tuple[Float[Array, ""], Aux]:
        support, query = episode.support, episode.query
        outputs = Adapted(self.learner.network, None, query.target)(jnp.concatenate([support.x, query.x]))
        losses = query.target.loss(outputs, jnp.concatenate([support.y, query.y]))
        of_query = outputs[len(support.x) :]
        return losses.mean(), {"score": query.target.score(of_query, query.y).mean()}
