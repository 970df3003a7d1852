"""What the tasks of a recipe are, as plain data. A kind of tasks is a class of options here and a source of tasks in
`task_sources.py`."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, Literal

from nopal.partitions import Exclusivity
from nopal.tasks.regression import Sinusoids, Version
from nopal.tasks.target import Categorical, Circular, Gaussian, Target

LATER = {"later": True}
"""Marks a choice that came after records were made: it is stored where it is not the default, so that older runs go on
and older records stay comparable."""


@dataclasses.dataclass(frozen=True)
class Classes:
    """Classes of images: clusters of partitions where a recipe makes some, else human labels."""

    method: ClassVar[str] = "classes"
    exclusivity: Exclusivity = "inter_shuffle"
    """how far tasks of human labels are mutually exclusive; as usual they are"""
    augmented: bool = False
    """meta-augmentation: the labels of every task permuted"""

    def target(self, way: int) -> Target:
        """What a task of `way` classes predicts."""
        return Categorical(way)


@dataclasses.dataclass(frozen=True)
class SinusoidTasks:
    """Sinusoids whose amplitude a one-hot input gives away in meta-training and belies at test (Yin et al. 2020)."""

    method: ClassVar[str] = "sinusoids"
    version: Version = "paper"
    """as the paper has them, or one of its notebooks"""
    deviation: float = math.sqrt(0.5)
    """standard deviation of the Gaussian likelihood; by default its loss is the squared error plus a constant"""

    def target(self, way: int = 1) -> Gaussian:
        return Gaussian(1, self.deviation)

    def told(self, shot: int, query: int) -> Sinusoids:
        """Meta-training tasks."""
        return dataclasses.replace(Sinusoids.told(shot, query, self.version), target=self.target())

    def mistold(self, shot: int) -> Sinusoids:
        """Test tasks."""
        return dataclasses.replace(Sinusoids.mistold(shot, version=self.version), target=self.target())


@dataclasses.dataclass(frozen=True)
class PoseTasks:
    """The angle of an object from its views (Yin et al. 2020)."""

    method: ClassVar[str] = "poses"
    kind: Literal["linear", "circular"] = "linear"
    """whether a number is regressed, as published, or a point on the circle"""
    turn: float = 10.0
    """what a full turn counts"""
    augmented: bool = False
    """meta-augmentation: the angles of every task shifted by quarter turns"""

    def target(self, way: int = 1) -> Gaussian | Circular:
        return Gaussian(1, math.sqrt(0.5)) if self.kind == "linear" else Circular(self.turn)


TaskOptions = Classes | SinusoidTasks | PoseTasks
