"""The hundred tasks on which the notebooks of Yin et al. 2020 (arXiv 1912.03820) test."""

from __future__ import annotations

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from nopal.errors import NopalError
from nopal.tasks.episode import Episode
from nopal.tasks.regression import Sinusoids, Version
from nopal.tasks.target import Gaussian

COUNT = 100
Points = Float[np.ndarray, "m"]


class NotebookSinusoids(eqx.Module):
    """The tasks of `Sinusoids.mistold` that a notebook draws with NumPy's seeds 0 to 99, for neural processes with the
    squares of these: the same in every trial, but for the one-hot vector, which is left to chance. Every draw is one of
    the hundred."""

    tasks: Sinusoids
    x: Float[Array, "100 m"]
    """support first"""
    y: Float[Array, "100 m"]

    def __init__(self, version: Version, shot: int = 5, target: Gaussian | None = None):
        """Raises `NopalError` for the paper's version, which fixes no tasks."""
        if version == "paper":
            raise NopalError("The paper fixes no test tasks; take the version maml_notebook or cnp_notebook.")
        tasks = Sinusoids.mistold(shot, version=version)
        self.tasks = tasks if target is None else dataclasses.replace(tasks, target=target)
        points = _of_maml if version == "maml_notebook" else _of_neural_processes
        self.x, self.y = jnp.asarray([points(self.tasks, seed) for seed in range(COUNT)], jnp.float32).swapaxes(0, 1)

    @property
    def target(self) -> Gaussian:
        return self.tasks.target

    def sample(self, key: PRNGKeyArray) -> Episode:
        """One of the hundred tasks: inputs [m, 21] and values [m, 1], for support and queries alike."""
        of_task, of_level = jax.random.split(key)
        task = jax.random.randint(of_task, (), 0, COUNT)
        first, last = self.tasks.drawn or (0, self.tasks.levels - 1)
        return self.tasks.episode(self.x[task], self.y[task], jax.random.randint(of_level, (), first, last + 1))


def _grid(tasks: Sinusoids) -> Points:
    return np.linspace(*(tasks.grid or tasks.x), tasks.query)


def _of_maml(tasks: Sinusoids, seed: int) -> tuple[Points, Points]:
    """The support points are drawn after seeding again, so the first of them repeats the amplitude's number. Noise is
    drawn twice for support and queries alike, but the first of the queries' has scale 0."""
    amplitude = np.random.RandomState(seed).uniform(*tasks.amplitude)
    numpy = np.random.RandomState(seed)
    support, queries = numpy.uniform(*tasks.x, tasks.shot), _grid(tasks)
    x = np.concatenate([support, queries])
    first, second, _, fourth = (numpy.normal(scale=0.1, size=n) for n in (tasks.shot,) * 2 + (tasks.query,) * 2)
    return x, amplitude * np.sin(x) + np.concatenate([first + second, fourth])


def _of_neural_processes(tasks: Sinusoids, seed: int) -> tuple[Points, Points]:
    """Without noise in the queries."""
    numpy = np.random.RandomState(seed**2)
    amplitude = numpy.uniform(*tasks.amplitude)
    x = np.concatenate([numpy.uniform(*tasks.x, tasks.shot), _grid(tasks)])
    y = amplitude * np.sin(x)
    y[: tasks.shot] += numpy.normal(scale=0.1, size=tasks.shot)
    return x, y
