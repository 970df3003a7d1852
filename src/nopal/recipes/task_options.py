"""What the tasks of a recipe are, as plain data. A kind of tasks is a class of options here and a source of tasks in
`task_sources.py`."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

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
    queries: int = 200
    """points at which a test task is judged"""

    def target(self, way: int = 1) -> Gaussian:
        return Gaussian(1, self.deviation)

    def told(self, shot: int, query: int) -> Sinusoids:
        """Meta-training tasks."""
        return dataclasses.replace(Sinusoids.told(shot, query), target=self.target())

    def mistold(self, shot: int) -> Sinusoids:
        """Test tasks."""
        return dataclasses.replace(Sinusoids.mistold(shot, self.queries), target=self.target())


TaskOptions = Classes | SinusoidTasks
