"""What the tasks of a recipe are, as plain data. A kind of tasks is a class of options here and a source of tasks in
`task_sources.py`."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, Literal

from nopal.tasks.regression import Sinusoids
from nopal.tasks.target import Categorical, Gaussian, Target

LATER = {"later": True}
"""Marks a choice that came after records were made: it is stored where it is not the default, so that older runs go on
and older records stay comparable."""


@dataclasses.dataclass(frozen=True)
class Classes:
    """Classes of images: clusters of partitions where a recipe makes some, else human labels."""

    method: ClassVar[str] = "classes"

    def target(self, way: int) -> Target:
        """What a task of `way` classes predicts."""
        return Categorical(way)


@dataclasses.dataclass(frozen=True)
class SinusoidTasks:
    """Sinusoids whose amplitude a one-hot input gives away in meta-training and belies at test (Yin et al. 2020)."""

    method: ClassVar[str] = "sinusoids"
    deviation: float = math.sqrt(0.5)
    """standard deviation of the Gaussian likelihood; by default its loss is the squared error plus a constant"""
    test: Literal["noisy", "exact"] = "noisy"
    """test queries: 200 from -4.5 to 4.5 with noise, as published for MAML, or 100 from -5 to 5 without, as for neural
    processes"""

    def target(self, way: int = 1) -> Gaussian:
        return Gaussian(1, self.deviation)

    def told(self, shot: int, query: int) -> Sinusoids:
        """Meta-training tasks."""
        return dataclasses.replace(Sinusoids.told(shot, query), target=self.target())

    def mistold(self, shot: int) -> Sinusoids:
        """Test tasks."""
        tasks = dataclasses.replace(Sinusoids.mistold(shot, 200), target=self.target())
        if self.test == "noisy":
            return tasks
        return dataclasses.replace(tasks, query=100, noise=(tasks.noise[0], 0.0), grid=(-5.0, 5.0))


TaskOptions = Classes | SinusoidTasks
