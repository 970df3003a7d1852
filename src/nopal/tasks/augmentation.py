"""Meta-augmentation (Rajendran, Irpan, Jang 2020, arXiv 2007.05549): labels changed by a key that only the support set
tells, so that no function of the input alone solves the tasks."""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from nopal.errors import NopalError
from nopal.tasks.classification import Classification
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.poses import Poses
from nopal.tasks.regression import Sinusoids
from nopal.tasks.target import Categorical, Target

_STREAM = 2007_05549  # far from the numbers by which tasks divide their key


class Augmented(eqx.Module):
    """The same tasks, each with its labels changed in one random way for support and queries alike.

    Classes are permuted. Numbers are shifted by one of `shifts`, each as likely, or, where `shifts` is a single number,
    uniformly by at most that much either way. On a circle (`Poses`) sums are taken modulo a full turn, and shifts are
    quarter turns unless others are given. For meta-training only: meta-test tasks keep their labels.

    The same key gives the same inputs with and without augmentation.
    """

    tasks: Classification | Poses | Sinusoids
    shifts: tuple[float, ...] | float | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        """Raises `NopalError` for shifts of classes, and for none where there is no circle to divide."""
        classes, circle = isinstance(self.target, Categorical), isinstance(self.tasks, Poses)
        if classes and self.shifts is not None:
            raise NopalError("Classes are permuted, not shifted; leave out the shifts.")
        if isinstance(self.shifts, float | int):
            wrong = not 0 < self.shifts < math.inf
        else:
            wrong = self.shifts == () or not all(map(math.isfinite, self.shifts or ()))
        if wrong or (self.shifts is None and not classes and not circle):
            raise NopalError(
                f"The shifts are {self.shifts}; expected a number above 0, such as 1.0 for shifts from -1 to 1, or "
                "some numbers of which one is drawn."
            )

    @property
    def target(self) -> Target:
        return self.tasks.target

    def at(self, **difficulty: Any) -> Augmented:
        """The same at another difficulty."""
        return Augmented(self.tasks.at(**difficulty), self.shifts)

    def sample(self, key: PRNGKeyArray) -> Episode:
        """One task, with its labels changed."""
        episode = self.tasks.sample(key)
        noise = jax.random.fold_in(key, _STREAM)
        return Episode(*(self._changed(examples, noise) for examples in (episode.support, episode.query)))

    def _changed(self, examples: Examples, noise: PRNGKeyArray) -> Examples:
        return Examples(examples.x, self._change(examples.y, noise), examples.target)

    def _change(self, y: Shaped[Array, "m ..."], noise: PRNGKeyArray) -> Shaped[Array, "m ..."]:
        if isinstance(self.target, Categorical):
            return jax.random.permutation(noise, self.target.way)[y]
        if not isinstance(self.tasks, Poses):
            return y + _shift(noise, self.shifts or ())
        turn = self.tasks.turn
        return (y + _shift(noise, self.shifts or (0.0, turn / 4, turn / 2, 3 * turn / 4))) % turn


def _shift(noise: PRNGKeyArray, shifts: tuple[float, ...] | float) -> Float[Array, ""]:
    if isinstance(shifts, tuple):
        return jax.random.choice(noise, jnp.array(shifts))
    return jax.random.uniform(noise, minval=-shifts, maxval=shifts)
