"""Places on a circle as what a task predicts: as points in the plane, or as whole distributions."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nopal.errors import NopalError

# A normal spread of 8 degrees; so many terms of its series leave out nothing.
_TERMS, _RESULTANT = 48, 0.99
# Errors that were met count for so much, each with a normal spread of 3.6 degrees, of whose series a hundredth is left
# out; both chosen on objects held back.
_MET, _SMOOTH = 0.8, 0.998
# Sums over so many places stand for integrals over the circle: exact to float precision for a normal spread of half a
# degree or more.
_PLACES = 720


def shorter_way(error: Float[Array, "..."], turn: float | None) -> Float[Array, "..."]:
    """On a circle of that circumference, errors brought to half a turn at most."""
    return error if turn is None else (error + turn / 2) % turn - turn / 2


def check_turn(turn: float) -> None:
    """Raises `NopalError` for a circumference that is not positive."""
    if not turn > 0:
        raise NopalError(f"A full turn is {turn} long; expected a number above 0, such as 10 as published.")


def waves(angle: Float[Array, "m"], order: int) -> Float[Array, "m order 2"]:
    """(sin, cos) of once, twice, ... each angle in radians."""
    multiples = angle[:, None] * jnp.arange(1, order + 1)
    return jnp.stack([jnp.sin(multiples), jnp.cos(multiples)], axis=2)


def opposite(parameters: Float[Array, "m k"]) -> Float[Array, "m k"]:
    """What predicts the angles of the other sign: sines change theirs, cosines don't. Raises `NopalError` for an odd
    number of parameters."""
    pairs, left = divmod(parameters.shape[1], 2)
    if left:
        raise NopalError(f"Places on a circle have pairs of parameters; found {parameters.shape[1]}.")
    return parameters * jnp.tile(jnp.array([-1.0, 1.0]), pairs)


@dataclasses.dataclass(frozen=True)
class Circle(ABC):
    """A place on a circle of circumference `turn`, from 0.

    Losses have no seam, but the score is that of the published tables unless errors are `wrapped`: places are compared
    as on a line, so that a guess just on the other side of 0 counts as wrong by nearly a turn, and what is guessed is
    the number that is best there (`expected`). `wrapped` scores the direction that is predicted (`angle`), the shorter
    way round.
    """

    turn: float
    wrapped: bool = False
    shape: ClassVar[tuple[int, ...]] = (1,)
    """of one place"""

    def __post_init__(self) -> None:
        check_turn(self.turn)

    @abstractmethod
    def loss(self, parameters: Float[Array, "m k"], y: Float[Array, "m 1"]) -> Float[Array, "m"]:
        """One number an example."""

    @abstractmethod
    def encode(self, y: Float[Array, "m 1"]) -> Float[Array, "m k"]:
        """For learners that read labels as inputs."""

    @property
    def metric(self) -> str:
        """Name of the score."""
        return "squared_arc" if self.wrapped else "squared_error"

    def score(self, parameters: Float[Array, "m k"], y: Float[Array, "m 1"]) -> Float[Array, "m"]:
        """Squared error of the place that is guessed, in the units of `turn`."""
        if self.wrapped:
            return shorter_way(self.decode(parameters) - y, self.turn)[:, 0] ** 2
        return (self.expected(parameters) - y)[:, 0] ** 2

    def decode(self, parameters: Float[Array, "m k"]) -> Float[Array, "m 1"]:
        """The direction that is predicted, as a place in [0, turn)."""
        share = self.angle(parameters)[:, None] / (2 * math.pi)
        # The remainder of a tiny negative number may round to 1.
        return self.turn * (share % 1.0 % 1.0)

    @abstractmethod
    def angle(self, parameters: Float[Array, "m k"]) -> Float[Array, "m"]:
        """The direction that is predicted, in radians from -pi to pi."""

    @abstractmethod
    def expected(self, parameters: Float[Array, "m k"]) -> Float[Array, "m 1"]:
        """The number in [0, turn) whose expected squared error is least, as on a line."""

    def average(self, parameters: Float[Array, "samples m k"]) -> Float[Array, "m k"]:
        """The mean parameters."""
        return parameters.mean(0)

    def encode_waves(self, y: Float[Array, "m 1"], order: int) -> Float[Array, "m k"]:
        """(sin, cos) of once, twice, ... the angles of places, one behind the other."""
        return waves(2 * math.pi / self.turn * y[:, 0], order).reshape(len(y), -1)


@dataclasses.dataclass(frozen=True)
class Circular(Circle):
    """A place on a circle, predicted as a point in the plane, its (sin, cos).

    Where it is known how wrong such points are, parameters may be those of `spread` instead.
    """

    width: ClassVar[int] = 2

    def loss(self, parameters: Float[Array, "m k"], y: Float[Array, "m 1"]) -> Float[Array, "m"]:
        """Squared distance from the place on the unit circle."""
        return jnp.sum((parameters[:, :2] - self.encode(y)) ** 2, axis=1)

    def angle(self, parameters: Float[Array, "m k"]) -> Float[Array, "m"]:
        """The direction of a point in radians, from -pi to pi."""
        return jnp.arctan2(parameters[:, 0], parameters[:, 1])

    def expected(self, parameters: Float[Array, "m k"]) -> Float[Array, "m 1"]:
        """The number in [0, turn) whose expected squared error is least, as on a line.

        A point inside the circle stands for its direction, give or take 8 degrees, or, the likelier the nearer it is to
        the centre, for any place at all: a mixture of a wrapped normal and a uniform distribution whose mean is that
        point. Of that this is the mean number: far from 0 nearly the direction, near 0, where some of it lies on either
        side, a number in between. A wrapped normal alone with the point's length does worse: on objects held back the
        points of learners of poses had a median length of .94, as if wrong by 20 degrees, and were wrong by 5. The
        Fourier series of the mean is summed (Mardia & Jupp, Directional Statistics, 2000, section 3.5.7, has that of
        the density).
        """
        known = parameters.shape[1] > 2
        moments = parameters.reshape(len(parameters), -1, 2) if known else self.moments(parameters)
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
        return length[:, :, None] * waves(self.angle(point), _TERMS)

    def spread(self, point: Float[Array, "m 2"], errors: Float[Array, "n"]) -> Float[Array, "m k"]:
        """Those moments as parameters, each (sin, cos) behind the other."""
        return self.moments(point, errors).reshape(len(point), -1)

    def encode(self, y: Float[Array, "m 1"]) -> Float[Array, "m 2"]:
        """Points on the unit circle, for learners that read labels as inputs."""
        return self.encode_waves(y, 1)


@dataclasses.dataclass(frozen=True)
class VonMises(Circle):
    """A place on a circle, of which the distribution is predicted, so that a prediction may be "here or opposite".

    Its density is the exponential of a Fourier series of `order` terms without a constant, a generalised von Mises
    distribution (Gatto & Jammalamadaka 2007, Statistical Methodology 4); parameters are the coefficients of (sin, cos)
    of once the angle, then of twice the angle, and so on. All zero is the uniform distribution. The mean parameters are
    those of the normalised geometric mean of densities. Raises `NopalError` for an order below 1.
    """

    order: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.order < 1:
            raise NopalError(f"The distribution on the circle has {self.order} terms; expected at least 1.")

    @property
    def width(self) -> int:
        """Number of parameters for one prediction."""
        return 2 * self.order

    def loss(self, parameters: Float[Array, "m k"], y: Float[Array, "m 1"]) -> Float[Array, "m"]:
        """Negative log-likelihood of the angle in nats: log(2 pi) for a uniform distribution."""
        exponent = jnp.sum(parameters * self.encode(y), axis=1)
        total = jax.nn.logsumexp(parameters @ self.encode(self.places()).T, axis=1)
        return total + math.log(2 * math.pi / _PLACES) - exponent

    def angle(self, parameters: Float[Array, "m k"]) -> Float[Array, "m"]:
        """The direction in radians whose expected squared arc is least, from -pi to pi: of two opposite places that are
        as likely, one in between."""
        places = self.places()
        arcs = shorter_way(places - places.T, self.turn) ** 2
        best = jnp.argmin(self.probabilities(parameters) @ arcs, axis=1)
        return shorter_way(places[best, 0], self.turn) * (2 * math.pi / self.turn)

    def expected(self, parameters: Float[Array, "m k"]) -> Float[Array, "m 1"]:
        """The mean number in [0, turn), whose expected squared error is least, as on a line."""
        return self.probabilities(parameters) @ self.places()

    def probabilities(self, parameters: Float[Array, "m k"]) -> Float[Array, "m places"]:
        """Of each of `places`."""
        return jax.nn.softmax(parameters @ self.encode(self.places()).T, axis=1)

    def places(self) -> Float[Array, "places 1"]:
        """Evenly spread on the circle, alike on both sides of 0."""
        return self.turn * (jnp.arange(_PLACES)[:, None] + 0.5) / _PLACES

    def encode(self, y: Float[Array, "m 1"]) -> Float[Array, "m k"]:
        """(sin, cos) of once, twice, ... the angle, for learners that read labels as inputs."""
        return self.encode_waves(y, self.order)
