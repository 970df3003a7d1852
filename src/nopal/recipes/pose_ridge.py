"""Pose regression by ridge regression on a meta-trained embedding, which no paper has: the choices that bring it below
the published errors, one after the other."""

from __future__ import annotations

import dataclasses
import math

from nopal.data.poses.meshes import Warp
from nopal.options.learners import MetaLearnerOptions, RidgeOptions
from nopal.options.regularised import (
    CrossValidatedOptions,
    FeatureOptions,
    MirroredOptions,
    RegularisedOptions,
)
from nopal.options.tasks import PoseTasks
from nopal.recipes.poses import AS_PUBLISHED, CIRCULAR, row
from nopal.recipes.recipe import OURS, Recipe

DENSITY = PoseTasks(angle="density")
RIDGE = RegularisedOptions(RidgeOptions(hidden=(100, 64)), FeatureOptions((196,)), "none")
# Objects turn 0.025 to the right of the point that the camera looks at, 4 away, in a field of view of 45 degrees.
AXIS = 0.5 + 0.025 / (2 * 4 * math.tan(math.pi / 8))
MIRRORED = MirroredOptions(RIDGE, AXIS)


def varied(tasks: PoseTasks, variants: int, warp: Warp = "free") -> PoseTasks:
    """These tasks, with further shapes of meta-training objects."""
    return dataclasses.replace(tasks, variants=variants, warp=warp)


def ridge(name: str, title: str, tasks: PoseTasks, learner: MetaLearnerOptions = RIDGE, *notes: str) -> Recipe:
    """A row whose learner is ridge regression, maybe with something around it."""
    if learner is not RIDGE:
        notes += ("takes objects for their own mirror images",)
    if tasks.variants:
        notes += (f"meta-trained on {tasks.variants} further shapes of each object that is not held back, too",)
        title = f"{title}, {tasks.variants} variants"
    return row(name, f"ridge regression{title}", learner, 30_000, 1e-3, tasks=tasks, note="; ".join([OURS, *notes]))


ROWS = (
    ridge(
        "ridge", "", AS_PUBLISHED, RIDGE, "two of the test objects look much the same after half a turn (see files.md)"
    ),
    ridge("ridge-circular", ", circle", CIRCULAR),
    ridge("ridge-density", ", density", DENSITY),
    ridge("ridge-mirrored", ", circle, mirror images", CIRCULAR, MIRRORED),
    ridge("ridge-circular-varied", ", circle", varied(CIRCULAR, 4)),
    ridge("ridge-circular-varied-16", ", circle", varied(CIRCULAR, 16)),
    ridge("ridge-mirrored-varied-16", ", circle, mirror images", varied(CIRCULAR, 16, "symmetric"), MIRRORED),
    ridge(
        "ridge-validated-varied-16",
        ", circle, cross-validated",
        varied(CIRCULAR, 16, "symmetric"),
        CrossValidatedOptions(MIRRORED),
    ),
    ridge("ridge-density-mirrored-varied-16", ", density, mirror images", varied(DENSITY, 16, "symmetric"), MIRRORED),
)
