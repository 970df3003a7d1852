"""Pose regression (Yin et al. 2020, arXiv 1912.03820): by which angle an object is turned, from a few of its views."""

from __future__ import annotations

import math
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from nopal.errors import NopalError, check_choice
from nopal.tasks.circle import Circular, VonMises, check_turn
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.sampling import draw_without_replacement
from nopal.tasks.target import Gaussian

Angle = Literal["linear", "circular", "density"]
PoseTarget = Gaussian | Circular | VonMises


def pose_target(angle: Angle, turn: float = 10.0, wrapped: bool = False) -> PoseTarget:
    """What tasks of these angles predict; raises `NopalError` for another name."""
    check_choice("target", angle, Angle)
    if angle == "linear":
        return Gaussian(1, math.sqrt(0.5), turn if wrapped else None)
    return (Circular if angle == "circular" else VonMises)(turn, wrapped)


class Poses(eqx.Module):
    """A distribution of tasks: an object, and `shot + query` different views of it, all uniform.

    What is to be predicted is the angle, scaled so that a full turn is `turn` (published: 10). `target="linear"`
    regresses this number, as published, with the squared error as loss (but for a constant, so that published inner
    rates hold); `"circular"` regresses its sine and cosine (see `Circular`); for `"density"` the likelihood of all
    places is learned (see `VonMises`). All are scored by the squared error in the units of `turn`, as on a line, and
    so a prediction of 9.9 for 0.1 is wrong by 9.8; `wrapped` scores the shorter way round (metric `squared_arc`),
    where it is wrong by 0.2.
    """

    images: UInt8[Array, "objects views h w c"]
    angles: Float[Array, "objects views"]
    shot: int = eqx.field(static=True)
    query: int = eqx.field(static=True)
    target: PoseTarget = eqx.field(static=True)
    angle: Angle = eqx.field(static=True)
    turn: float = eqx.field(static=True)

    def __init__(
        self,
        images: Any,
        angles: Any,
        shot: int = 15,
        query: int = 15,
        target: Angle = "linear",
        turn: float = 10.0,
        wrapped: bool = False,
    ):
        """`images` are bytes [objects, views, h, w], with channels behind where they have colours, `angles` radians in
        [0, 2 pi) [objects, views]. Raises `NopalError` for arrays that aren't, and for more examples in a task than an
        object has views."""
        images, angles = np.asarray(images), np.asarray(angles)
        if images.ndim not in (4, 5) or images.dtype != np.uint8 or angles.shape != images.shape[:2]:
            raise NopalError(
                f"The views have shape {images.shape} and type {images.dtype}, their angles {angles.shape}; expected "
                "bytes (uint8) of shape [objects, views, height, width], with channels behind where they have colours, "
                "and an angle for each view."
            )
        if not images.size or not ((angles >= 0) & (angles <= np.float32(2 * math.pi))).all():
            raise NopalError(
                "The angles must be radians from 0 to below 2 pi, for at least one object; check the file."
            )
        check_turn(turn)
        views = images.shape[1]
        if min(shot, query) < 1 or shot + query > views:
            raise NopalError(
                f"A task is to have {shot} support and {query} query views of one object; expected at least 1 of each, "
                f"and together no more than the {views} views that an object has."
            )
        images = images if images.ndim == 5 else images[..., None]
        self.images, self.angles = jnp.asarray(images), jnp.asarray(angles, jnp.float32)
        self.shot, self.query, self.turn = shot, query, float(turn)
        self.angle, self.target = target, pose_target(target, self.turn, wrapped)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of one view."""
        height, width, channels = self.images.shape[2:]
        return height, width, channels

    @property
    def other_targets(self) -> tuple[PoseTarget, ...]:
        """What scores the shorter way round, where `target` does not: by the published measure a guess may be nearly
        right and count as wrong by a turn."""
        if self.target.metric == "squared_arc":
            return ()
        return (pose_target(self.angle, self.turn, wrapped=True),)

    def at(self, *, shot: int | None = None, query: int | None = None) -> Poses:
        """The same objects with other numbers of examples."""
        return Poses(
            self.images,
            self.angles,
            self.shot if shot is None else shot,
            self.query if query is None else query,
            self.angle,
            self.turn,
            self.target.metric == "squared_arc",
        )

    def draw(self, key: PRNGKeyArray) -> tuple[Int[Array, ""], Int[Array, "m"]]:
        """An object, and its views: the first `shot` for support, the others for queries."""
        which, views = jax.random.split(key)
        drawn = draw_without_replacement(views, self.shot + self.query, self.images.shape[1])
        return jax.random.randint(which, (), 0, len(self.images)), drawn

    @property
    def groups(self) -> int:
        """How many objects there are."""
        return len(self.images)

    def group(self, key: PRNGKeyArray) -> Int[Array, ""]:
        """The object of the task that `sample` draws."""
        return self.draw(key)[0]

    def sample(self, key: PRNGKeyArray) -> Episode:
        """One task: views [m, h, w, c] and places on the circle [m, 1], for support and queries alike."""
        return self.episode(*self.draw(key))

    def episode(self, which: Int[Array, ""], views: Int[Array, "m"]) -> Episode:
        """The task of that object with these of its views."""
        x = self.images[which, views]
        y = (self.turn / (2 * math.pi) * self.angles[which, views])[:, None]
        support, query = (
            Examples(x[rows], y[rows], self.target) for rows in (slice(self.shot), slice(self.shot, None))
        )
        return Episode(support, query)
