"""What a task predicts, and how a prediction is scored. A target belongs to the tasks; predictors return arrays of its
parameters."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from nopal.errors import NopalError
from nopal.tasks.circle import Circular, VonMises, shorter_way


@dataclasses.dataclass(frozen=True)
class Categorical:
    """One of `way` classes; parameters are logits."""

    way: int
    metric: ClassVar[str] = "accuracy"
    shape: ClassVar[tuple[int, ...]] = ()
    """of one label"""

    @property
    def width(self) -> int:
        """Number of parameters for one prediction."""
        return self.way

    def loss(self, logits: Float[Array, "m way"], y: Int[Array, "m"]) -> Float[Array, "m"]:
        """Cross-entropy in nats, one number an example."""
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)[:, 0]

    def score(self, logits: Float[Array, "m way"], y: Int[Array, "m"]) -> Float[Array, "m"]:
        """1 where the most probable class is the right one, else 0; ties go to the smallest label. Where logits
        are no numbers, the score is none either."""
        return jnp.where(jnp.isnan(logits).any(1), jnp.nan, logits.argmax(1) == y).astype(logits.dtype)

    def encode(self, y: Int[Array, "m"]) -> Float[Array, "m way"]:
        """One-hot vectors, for learners that read labels as inputs."""
        return jax.nn.one_hot(y, self.way)

    def average(self, logits: Float[Array, "samples m way"]) -> Float[Array, "m way"]:
        """Logits of the mean probabilities."""
        return jax.nn.logsumexp(jax.nn.log_softmax(logits), axis=0) - math.log(len(logits))


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """A vector of `dim` numbers; parameters are its mean, the standard deviation `scale` is fixed.

    Where the numbers lie on a circle of circumference `turn`, errors are scored the shorter way round; the loss stays
    that of a line.
    """

    dim: int
    scale: float = 1.0
    turn: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.scale < math.inf:
            raise NopalError(f"The standard deviation of the target is {self.scale}; expected a number above 0.")

    @property
    def metric(self) -> str:
        """Name of the score."""
        return "squared_error" if self.turn is None else "squared_arc"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of what is predicted of one input."""
        return (self.dim,)

    @property
    def width(self) -> int:
        """Number of parameters for one prediction."""
        return self.dim

    def loss(self, mean: Float[Array, "m dim"], y: Float[Array, "m dim"]) -> Float[Array, "m"]:
        """Negative log-likelihood in nats, one number an example."""
        constant = self.dim * (math.log(self.scale) + 0.5 * math.log(2 * math.pi))
        return 0.5 * jnp.sum(((mean - y) / self.scale) ** 2, axis=1) + constant

    def score(self, mean: Float[Array, "m dim"], y: Float[Array, "m dim"]) -> Float[Array, "m"]:
        """Squared error, averaged over the dimensions."""
        return jnp.mean(shorter_way(mean - y, self.turn) ** 2, axis=1)

    def encode(self, y: Float[Array, "m dim"]) -> Float[Array, "m dim"]:
        """The numbers as they are."""
        return y

    def decode(self, mean: Float[Array, "m dim"]) -> Float[Array, "m dim"]:
        """What is predicted: the mean."""
        return mean

    def average(self, mean: Float[Array, "samples m dim"]) -> Float[Array, "m dim"]:
        """The mean prediction."""
        return mean.mean(0)


Target = Categorical | Gaussian | Circular | VonMises
