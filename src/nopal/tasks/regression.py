"""Tasks of regression: sinusoids of random amplitude and phase (Finn, Abbeel, Levine 2017, arXiv 1703.03400), and those
that a one-hot input gives away (Yin et al. 2020, arXiv 1912.03820)."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from nopal.errors import NopalError, check_choice
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Gaussian

Range = tuple[float, float]
Version = Literal["paper", "maml_notebook", "cnp_notebook"]
"""Of the tasks of Yin et al.: as their paper has them, or as one of the two notebooks of their code has them."""


class Sinusoids(eqx.Module):
    """y = amplitude sin(x - phase) + noise; a task has one amplitude and one phase, and all ranges are uniform.

    With `levels`, a one-hot vector of that length stands beside x: it names one of `levels` amplitudes, evenly spaced
    over the range of `amplitude`, and tasks draw them from the first to the last that `drawn` names (all by default,
    counted from 0). One function solves all these tasks without a look at the support set, which is what a meta-learner
    must not learn; `misleading` tells, for then the amplitude is uniform over its range whatever the vector says.
    `grid` puts the queries at even distances over a range of its own. `noise` is the standard deviation in the support
    set and in the queries.

    The target's standard deviation makes the loss the squared error plus a constant, so that published inner rates
    hold.
    """

    shot: int = eqx.field(static=True, default=10)
    query: int = eqx.field(static=True, default=10)
    amplitude: Range = eqx.field(static=True, default=(0.1, 5.0))
    phase: Range = eqx.field(static=True, default=(0.0, math.pi))
    x: Range = eqx.field(static=True, default=(-5.0, 5.0))
    noise: Range = eqx.field(static=True, default=(0.0, 0.0))
    levels: int = eqx.field(static=True, default=0)
    drawn: tuple[int, int] | None = eqx.field(static=True, default=None)
    misleading: bool = eqx.field(static=True, default=False)
    grid: Range | None = eqx.field(static=True, default=None)
    target: Gaussian = eqx.field(static=True, default=Gaussian(1, math.sqrt(0.5)))

    def __check_init__(self) -> None:
        """Raises `NopalError` for counts that are not positive, ranges that run backwards or have no end, and noise
        that is no standard deviation."""
        for name, value in (("shot", self.shot), ("query", self.query)):
            if value < 1:
                raise NopalError(f"The {name} of a task is {value}; expected at least 1.")
        ranges = {"amplitude": self.amplitude, "phase": self.phase, "x": self.x, "grid": self.grid or self.x}
        for name, (low, high) in ranges.items():
            if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                raise NopalError(f"The range of {name} is {low} to {high}; expected two numbers, the smaller first.")
        if not all(0 <= deviation < math.inf for deviation in self.noise):
            raise NopalError(f"The noise is {self.noise}; expected standard deviations of at least 0, not infinite.")
        if self.levels < 0 or (self.levels == 0 and (self.misleading or self.drawn is not None)):
            raise NopalError(f"The levels of the amplitude are {self.levels}; expected at least 1 where they are told.")
        if self.drawn is not None and not 0 <= self.drawn[0] <= self.drawn[1] < self.levels:
            first, last = self.drawn
            raise NopalError(f"Levels {first} to {last} are to be drawn; expected a range from 0 to {self.levels - 1}.")

    @classmethod
    def told(cls, shot: int = 10, query: int = 10, version: Version = "paper") -> Sinusoids:
        """The meta-training tasks of Yin et al.: phase 0, noise 0.1, one of 20 amplitudes from 0.1 to 4 told.

        Their notebooks never draw the last four, though the paper says that all are.
        """
        check_choice("version", version, Version)
        drawn = None if version == "paper" else (0, 15)
        return cls(shot, query, (0.1, 4.0), (0.0, 0.0), noise=(0.1, 0.1), levels=20, drawn=drawn)

    @classmethod
    def mistold(cls, shot: int = 5, query: int | None = None, version: Version = "paper") -> Sinusoids:
        """The meta-test tasks of Yin et al.: any amplitude from 0.1 to 4, with a one-hot vector that says nothing about
        it.

        By the paper, queries are as in meta-training. Its notebooks put them at even distances: that of MAML 200 in
        [-4.5, 4.5], where it adds the noise of the support set twice; that of the neural processes 100 in [-5, 5],
        without noise (so that errors may fall below 0.01), and with vectors that name levels 5 to 15 only.
        """
        tasks = dataclasses.replace(cls.told(shot, 200, version), misleading=True)
        if version == "maml_notebook":
            tasks = dataclasses.replace(tasks, noise=(0.1 * math.sqrt(2), 0.1), grid=(-4.5, 4.5))
        if version == "cnp_notebook":
            tasks = dataclasses.replace(tasks, query=100, noise=(0.1, 0.0), grid=(-5.0, 5.0), drawn=(5, 15))
        return tasks.at(query=query)

    def at(self, *, shot: int | None = None, query: int | None = None) -> Sinusoids:
        """The same tasks with other numbers of examples."""
        return dataclasses.replace(
            self, shot=self.shot if shot is None else shot, query=self.query if query is None else query
        )

    def sample(self, key: PRNGKeyArray) -> Episode:
        """One task: inputs [m, 1 + levels] and values [m, 1], for support and queries alike."""
        of_task, places, disturbance = jax.random.split(key, 3)
        height, shift, level = jax.random.uniform(of_task, (3,))
        amplitude = _within(height, self.amplitude)
        index = None
        if self.levels:
            first, last = self.drawn or (0, self.levels - 1)
            index = first + jnp.floor(level * (last - first + 1)).astype(int)
            if not self.misleading:
                amplitude = jnp.linspace(*self.amplitude, self.levels)[index]
        m = self.shot + self.query
        x = _within(jax.random.uniform(places, (m,)), self.x)
        if self.grid is not None:
            x = x.at[self.shot :].set(jnp.linspace(*self.grid, self.query))
        y = amplitude * jnp.sin(x - _within(shift, self.phase))
        if any(self.noise):
            deviation = jnp.where(jnp.arange(m) < self.shot, *self.noise)
            y += deviation * jax.random.normal(disturbance, (m,))
        return self.episode(x, y, index)

    def episode(self, x: Float[Array, "m"], y: Float[Array, "m"], index: Int[Array, ""] | None = None) -> Episode:
        """The task of these points, `shot` of them its support set, that names the level `index`."""
        hint = jnp.zeros(0) if index is None else jax.nn.one_hot(index, self.levels)
        inputs = jnp.concatenate([x[:, None], jnp.tile(hint, (len(x), 1))], axis=1)
        support, queries = (
            Examples(inputs[rows], y[rows, None], self.target) for rows in (slice(self.shot), slice(self.shot, None))
        )
        return Episode(support, queries)


def _within(uniform: Float[Array, "..."], bounds: Range) -> Float[Array, "..."]:
    """Numbers in [0, 1) brought to a range."""
    return bounds[0] + uniform * (bounds[1] - bounds[0])
