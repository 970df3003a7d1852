"""Training from scratch: the network of CACTUs (Hsu, Levine, Finn 2019, arXiv 1810.02334) learns each task from its
support set alone, from the same random weights every time. From the weights of a network that was trained before, the
same is fine-tuning."""

from __future__ import annotations

from jaxtyping import PRNGKeyArray

from nopal.errors import NopalError
from nopal.learners.learner import Learner
from nopal.learners.maml import MAML, Adapted, Reduction
from nopal.nets.network import Network
from nopal.nets.normalisation import Statistics
from nopal.tasks.episode import Examples


class FromScratch(Learner):
    """`steps` steps of gradient descent from the network's weights; what MAML would be, had it never been meta-trained.

    Published: class-summed loss, rate 0.1, 200 steps, statistics of all queries at once, kernels and biases alone
    adapted.
    """

    untrained: MAML

    def __init__(
        self,
        network: Network,
        *,
        rate: float = 0.5,
        steps: int = 200,
        adapted: tuple[str, ...] = ("*",),
        reduction: Reduction = "mean",
        query_statistics: Statistics = "support",
    ):
        """Raises `NopalError` where `MAML` does, and for running statistics, which need a training set."""
        if query_statistics == "running":
            raise NopalError(
                "A network trained from scratch has no running statistics; choose 'support' or 'transductive'."
            )
        self.untrained = MAML(
            network,
            inner_rate=rate,
            inner_steps=steps,
            first_order=True,
            adapted=adapted,
            reduction=reduction,
            statistics=query_statistics,
        )

    @property
    def statistics(self) -> str:
        return self.untrained.statistics

    @property
    def steps(self) -> int:
        return self.untrained.steps

    def adapt(self, support: Examples | None, *, key: PRNGKeyArray | None = None, steps: int | None = None) -> Adapted:
        return self.untrained.adapt(support, key=key, steps=steps)
