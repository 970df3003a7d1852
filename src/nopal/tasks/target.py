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


@dataclasses.dataclass(frozen=True)
class Categorical:
    """One of `way` classes; parameters are logits."""

    way: int
    metric: ClassVar[str] = "accuracy"

    @property
    def width(self) -> int:
        """Number of parameters for one prediction."""
        return self.way

    def loss(self, logits: Float[Array, "m way"], y: Int[Array, "m"]) -> Float[Array, "m"]:
        """Cross-entropy in nats, one number an example."""
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)[:, 0]

    def score(self, logits: Float[Array, "m way"], y: Int[Array, "m"]) -> Float[Array, "m"]:
        """1 where the most probable class is the right one, else 0; ties go to the smallest label."""
        return (logits.argmax(1) == y).astype(logits.dtype)

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
    def width(self) -> int:
        """Number of parameters for one prediction."""
        return self.dim

    def loss(self, mean: Float[Array, "m dim"], y: Float[Array, "m dim"]) -> Float[Array, "m"]:
        """Negative log-likelihood in nats, one number an example."""
        constant = self.dim * (math.log(self.scale) + 0.5 * math.log(2 * math.pi))
        return 0.5 * jnp.sum(((mean - y) / self.scale) ** 2, axis=1) + constant

    def score(self, mean: Float[Array, "m dim"], y: Float[Array, "m dim"]) -> Float[Array, "m"]:
        """Squared error, averaged over the dimensions."""
        return jnp.mean(_shorter_way(mean - y, self.turn) ** 2, axis=1)

    def encode(self, y: Float[Array, "m dim"]) -> Float[Array, "m dim"]:
        """The numbers as they are."""
        return y

    def decode(self, mean: Float[Array, "m dim"]) -> Float[Array, "m dim"]:
        """What is predicted: the mean."""
        return mean

    def average(self, mean: Float[Array, "samples m dim"]) -> Float[Array, "m dim"]:
        """The mean prediction."""
        return mean.mean(0)


# A normal spread of 8 degrees; so many terms of its series leave out nothing.
_TERMS, _RESULTANT = 48, 0.99
# Errors that were met count for so much, each with a normal spread of 3.6 degrees, of whose series a hundredth is left
# out; both chosen on objects held back.
_MET, _SMOOTH = 0.8, 0.998


@dataclasses.dataclass(frozen=True)
class Circular:
    """A place on a circle of circumference `turn`, from 0; parameters are a point in the plane, its (sin, cos).

    Where it is known how wrong such points are, they may be those of `spread` instead. The loss has no seam, but the
    score is that of the published tables unless errors are `wrapped`: places are compared as on a line, so that a guess
    just on the other side of 0 counts as wrong by nearly a turn, and what is guessed is the number that is best there
    (`expected`). `wrapped` scores the direction of the point, the shorter way round.
    """

    turn: float
    wrapped: bool = False
    width: ClassVar[int] = 2

    @property
    def metric(self) -> str:
        """Name of the score."""
        return "squared_arc" if self.wrapped else "squared_error"

    def loss(self, point: Float[Array, "m k"], y: Float[Array, "m 1"]) -> Float[Array, "m"]:
        """Squared distance from the place on the unit circle."""
        return jnp.sum((point[:, :2] - self.encode(y)) ** 2, axis=1)

    def score(self, point: Float[Array, "m k"], y: Float[Array, "m 1"]) -> Float[Array, "m"]:
        """Squared error of the place that is guessed, in the units of `turn`."""
        if self.wrapped:
            return _shorter_way(self.decode(point) - y, self.turn)[:, 0] ** 2
        return (self.expected(point) - y)[:, 0] ** 2

    def decode(self, point: Float[Array, "m k"]) -> Float[Array, "m 1"]:
        """The place in [0, turn) in whose direction a point lies."""
        share = self.angle(point)[:, None] / (2 * math.pi)
        # The remainder of a tiny negative number may round to 1.
        return self.turn * (share % 1.0 % 1.0)

    def angle(self, point: Float[Array, "m k"]) -> Float[Array, "m"]:
        """The direction of a point in radians, from -pi to pi."""
        return jnp.arctan2(point[:, 0], point[:, 1])

    def expected(self, point: Float[Array, "m k"]) -> Float[Array, "m 1"]:
        """The number in [0, turn) whose expected squared error is least, as on a line.

        A point inside the circle stands for its direction, give or take 8 degrees, or, the likelier the nearer it is to
        the centre, for any place at all: a mixture of a wrapped normal and a uniform distribution whose mean is that
        point. Of that this is the mean number: far from 0 nearly the direction, near 0, where some of it lies on either
        side, a number in between. A wrapped normal alone with the point's length does worse: on objects held back the
        points of learners of poses had a median length of .94, as if wrong by 20 degrees, and were wrong by 5. The
        Fourier series of the mean is summed (Mardia & Jupp, Directional Statistics, 2000, section 3.5.7, has that of
        the density).
        """
        moments = self.moments(point) if point.shape[1] == 2 else point.reshape(len(point), -1, 2)
        n = jnp.arange(1, _TERMS + 1)
        return self.turn * (0.5 - jnp.sum(moments[:, :, 0] / n, axis=1, keepdims=True) / math.pi)

    def moments(self, point: Float[Array, "m 2"], errors: Float[Array, "n"] | None = None) -> Float[Array, "m terms 2"]:
        """The mean (sin, cos) of once, twice, ... the angle in that distribution.

        With `errors` in radians, met elsewhere by the same predictor, it is for the most part another: the direction,
        wrong by any of these (but NaN) or their opposites. So who is often wrong by half a turn, of an object that
        looks the same then, guesses a number in between, and who never is can be sure.
        """
        n = jnp.arange(1, _TERMS + 1)
        sure = jnp.minimum(jnp.linalg.norm(point, axis=1, keepdims=True) / _RESULTANT, 1.0)
        length = sure * _RESULTANT ** (n**2)
        if errors is not None:
            there = jnp.isfinite(errors)
            turns = jnp.cos(n * jnp.where(there, errors, 0.0)[:, None])
            met = turns.mean(0, where=there[:, None]) * _SMOOTH ** (n**2)
            length = jnp.where(there.any(), _MET * met + (1 - _MET) * length, length)
        angle = n * self.angle(point)[:, None]
        return length[:, :, None] * jnp.stack([jnp.sin(angle), jnp.cos(angle)], axis=2)

    def spread(self, point: Float[Array, "m 2"], errors: Float[Array, "n"]) -> Float[Array, "m k"]:
        """Those moments as parameters, each (sin, cos) behind the other."""
        return self.moments(point, errors).reshape(len(point), -1)

    def encode(self, y: Float[Array, "m 1"]) -> Float[Array, "m 2"]:
        """Points on the unit circle, for learners that read labels as inputs."""
        angle = 2 * math.pi / self.turn * y
        return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=1)

    def average(self, point: Float[Array, "samples m k"]) -> Float[Array, "m k"]:
        """The mean point, whose direction is the circular mean."""
        return point.mean(0)


def _shorter_way(error: Float[Array, "m d"], turn: float | None) -> Float[Array, "m d"]:
    """On a circle, errors brought to half a turn at most."""
    return error if turn is None else (error + turn / 2) % turn - turn / 2


Target = Categorical | Gaussian | Circular
