"""What the tasks of a recipe are, as plain data. A kind of tasks is a class of options here and a source of tasks in
`stages/task_sources.py`."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from nopal.data.poses.arrays import PoseSet
from nopal.data.poses.meshes import Warp
from nopal.errors import NopalError
from nopal.options.plain import LATER
from nopal.partitions import Exclusivity
from nopal.tasks.augmentation import Augmented
from nopal.tasks.notebook_sinusoids import NotebookSinusoids
from nopal.tasks.poses import Angle, Poses, PoseTarget, pose_target
from nopal.tasks.regression import Sinusoids, Version
from nopal.tasks.target import Categorical, Gaussian, Target

QUERIES = 15
"""Views of an object on which a task is judged."""


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

    def held_back(self) -> Classes:
        """Tasks to choose hyper-parameters by: the same, of other classes (see `stages/task_sources.py`)."""
        return self


@dataclasses.dataclass(frozen=True)
class SinusoidTasks:
    """Sinusoids whose amplitude a one-hot input gives away in meta-training and belies at test (Yin et al. 2020)."""

    method: ClassVar[str] = "sinusoids"
    deviation: float = math.sqrt(0.5)
    """standard deviation of the Gaussian likelihood; by default its loss is the squared error plus a constant"""
    version: Version = "paper"
    """as the paper has them, or as one of the authors' notebooks"""
    shift: float = dataclasses.field(default=0.0, metadata=LATER)
    """meta-augmentation: shift all labels of a meta-training task alike, by up to this either way"""

    fixed: bool = dataclasses.field(default=False, metadata=LATER)
    """test on the hundred tasks that the notebook fixes, not on new ones"""

    def target(self, way: int = 1) -> Gaussian:
        return Gaussian(1, self.deviation)

    def held_back(self) -> SinusoidTasks:
        """Raises `NopalError`."""
        raise NopalError("Nothing of the sinusoids is held back; their tasks are drawn anew without end.")

    def told(self, shot: int, query: int) -> Sinusoids | Augmented:
        """Meta-training tasks."""
        tasks = dataclasses.replace(Sinusoids.told(shot, query, self.version), target=self.target())
        return Augmented(tasks, self.shift) if self.shift else tasks

    def mistold(self, shot: int) -> Sinusoids | NotebookSinusoids:
        """Test tasks."""
        if self.fixed:
            return NotebookSinusoids(self.version, shot, self.target())
        return dataclasses.replace(Sinusoids.mistold(shot, version=self.version), target=self.target())


@dataclasses.dataclass(frozen=True)
class PoseTasks:
    """Views of an object, of which the angle is to be told (Yin et al. 2020)."""

    method: ClassVar[str] = "poses"
    angle: Angle = "linear"
    """regress the angle as a number from 0 to 10, as published, as a point on a circle, or predict its distribution"""
    augmented: bool = False
    """turn all angles of a meta-training task by the same multiple of 90 degrees, another in each task"""
    variants: int = dataclasses.field(default=0, metadata=LATER)
    """further shapes of each meta-training object, see `nopal poses render`"""
    warp: Warp = dataclasses.field(default="free", metadata=LATER)
    """how those are made: each corner by itself, or left and right alike (symmetric)"""
    choosing: bool = False
    """to choose hyper-parameters: test on those meta-training objects that are kept for it, train on the others"""

    def target(self, way: int = 1) -> PoseTarget:
        return pose_target(self.angle)

    def held_back(self) -> PoseTasks:
        """Tasks to choose hyper-parameters by."""
        return dataclasses.replace(self, choosing=True)

    def of(self, poses: PoseSet, shot: int, query: int = QUERIES) -> Poses:
        """Tasks of these objects."""
        return Poses(poses.images, poses.angles, shot, query, self.angle)


TaskOptions = Classes | SinusoidTasks | PoseTasks
