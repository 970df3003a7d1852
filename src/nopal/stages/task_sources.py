"""Where the tasks of a recipe come from, so that few stages after it know what tasks are (those that show them).

A source has the `shape` of one input; `training(run, experiment)`: the meta-training tasks of a run, into whose folder
goes what has to be made for them; `validation(options)`: tasks on which to try a learner while it is trained, as
difficult as those, of classes or objects that are not meta-trained on, nor (but where the validation takes the place of
the test) in the test, None where there are none; and `test(difficulty)`. `own` describes poses
that aren't those the recipes are about, and `poses` are the objects, where tasks are views of such; else they are None.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nopal.data.images import Splits
from nopal.data.poses.arrays import PoseSet
from nopal.encoders import Encoder
from nopal.errors import NopalError
from nopal.options.experiment import Experiment, TrainingOptions
from nopal.options.tasks import Classes, PoseTasks, SinusoidTasks
from nopal.partitions import Partitions, from_classes
from nopal.recipes.recipe import VALIDATION, Difficulty
from nopal.runs import RunFolder
from nopal.stages.beginning import undone_if_refused
from nopal.stages.measuring import labelled
from nopal.stages.pipeline import Encoded, class_tasks, make_partitions
from nopal.stages.pose_data import find_poses, own_of
from nopal.stages.sources import NAMED, load_splits
from nopal.tasks.augmentation import Augmented
from nopal.training import Tasks


class ImageTasks:
    """Classes of labelled images; meta-training tasks may come from partitions instead. Runs that go side by side share
    the images and what was encoded."""

    own: dict[str, Any] | None = None
    poses: PoseSet | None = None

    def __init__(self, splits: Splits, options: Classes = Classes(), given: Encoder | None = None):
        self.splits, self._options, self._given = splits, options, given
        self._x = jnp.asarray(splits.train.images)
        self._encoded: Encoded = {}
        self._made: dict[Any, Any] = {}
        self.test = labelled(splits.test.images, splits.test.need_labels())

    @property
    def shape(self) -> tuple[int, ...]:
        return self.splits.train.shape

    def training(self, run: RunFolder, experiment: Experiment) -> Tasks:
        how = experiment.partitions
        if how not in self._made:
            self._made[how] = self._partitions(run, experiment)
        tasks = class_tasks(run, self._x, self._made[how])
        return Augmented(tasks) if self._options.augmented else tasks

    def _partitions(self, run: RunFolder, experiment: Experiment) -> Partitions:
        if experiment.partitions is None and experiment.training and self._options.exclusivity != "inter_shuffle":
            labels, way = self.splits.train.need_labels(), experiment.training.way
            # Which class bears which label belongs to the data, and is the same for all seeds.
            with undone_if_refused(run):
                return from_classes(labels, way=way, exclusivity=self._options.exclusivity, key=jax.random.key(0))
        encoder = self._given or experiment.encoder
        return make_partitions(run, self.splits.train, encoder, experiment.partitions, self._encoded)

    def validation(self, training: TrainingOptions) -> Tasks | None:
        images = self.splits.validation
        if images is None:
            return None
        labels = images.need_labels()
        classes = len(np.unique(labels[labels >= 0]))
        return labelled(images.images, labels)((min(training.way, classes), training.shot))


@dataclasses.dataclass(frozen=True)
class GivenTasks:
    """Task distributions that need no run to be made."""

    train: Callable[[TrainingOptions], Tasks]
    held_out: Callable[[int], Tasks] | None
    """from the number of support examples"""
    test: Callable[[Difficulty], Tasks]
    shape: tuple[int, ...]
    poses: PoseSet | None = None

    @functools.cached_property
    def own(self) -> dict[str, Any] | None:
        return None if self.poses is None else own_of(self.poses)

    def training(self, run: RunFolder, experiment: Experiment) -> Tasks:
        if experiment.training is None:
            raise NopalError("These tasks are for learners that are meta-trained; the recipe names no training.")
        with undone_if_refused(run):
            return self.train(experiment.training)

    def validation(self, training: TrainingOptions) -> Tasks | None:
        return self.held_out(training.shot) if self.held_out else None


TaskSource = ImageTasks | GivenTasks


def open_tasks(data: str, experiment: Experiment, given: Encoder | None = None, file: Path | None = None) -> TaskSource:
    """The tasks that an experiment asks for, on the data of that name; `given` is an encoder that is fitted already,
    `file` one of rendered poses."""
    options = experiment.tasks
    if file and not isinstance(options, PoseTasks):
        raise NopalError(f"{file} was given as a file of poses, but these tasks are made from {data}; leave it out.")
    if isinstance(options, SinusoidTasks):
        told = options.told(1, 1)
        return GivenTasks(
            lambda training: options.told(training.shot, training.query),
            options.mistold,
            lambda at: options.mistold(at[1]),
            told.sample(jax.random.key(0)).query.x.shape[1:],
        )
    if isinstance(options, PoseTasks):
        return pose_tasks(options, find_poses(file, options.variants, options.warp))
    return ImageTasks(splits_of(data), options, given)


def splits_of(data: str) -> Splits:
    """A data set by name; where that ends in -validation, the part for it takes the place of the test."""
    name = data.removesuffix(VALIDATION)
    if data in NAMED or name == data:
        return load_splits(data)
    splits = load_splits(name)
    if splits.validation is None:
        raise NopalError(f"Nothing of {name} is held back for validation; choose hyper-parameters on other data.")
    return Splits(splits.train, None, splits.validation)


def pose_tasks(options: PoseTasks, poses: PoseSet) -> GivenTasks:
    """Tasks of objects of which some are for meta-training and others for the test. Where nothing is chosen, those to
    choose by are for meta-training, too, and there is no validation."""
    known, new = (poses.part(part) for part in (("fitting", "validation") if options.choosing else ("train", "test")))
    held_out = new if options.choosing else None

    @functools.cache  # so that many seeds have their arrays in common
    def train(shot: int, query: int) -> Tasks:
        tasks = options.of(known, shot, query)
        return Augmented(tasks) if options.augmented else tasks

    return GivenTasks(
        lambda training: train(training.shot, training.query),
        (lambda shot: options.of(held_out, shot)) if held_out else None,
        lambda at: options.of(new, at[1]),
        poses.shape,
        poses,
    )
