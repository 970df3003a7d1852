"""What a learner of poses says about objects, as arrays and as a picture in its run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from nopal.data.poses.arrays import PoseSet
from nopal.distributed import is_first
from nopal.learners.learner import Learner
from nopal.mapping import device_mesh, map_over_tasks, replicate
from nopal.options.tasks import PoseTasks
from nopal.report import PosePredictions, evenly, predictions_figure, write_picture
from nopal.stages.loading import key_of
from nopal.stages.measuring import EVALUATION_SEED
from nopal.tasks.poses import Poses

PICTURE = "predictions.png"
TASKS = 4
"""Tasks of each object."""
MOST = 60
"""Objects of which tasks are made; of more, these are evenly chosen."""

Objects = Literal["test", "validation", "train"]


def predict_poses(
    learner: Learner,
    tasks: Poses,
    names: Sequence[str],
    *,
    key: PRNGKeyArray,
    each: int = TASKS,
    devices: int | None = None,
) -> PosePredictions:
    """The learner's predictions in `each` tasks of every object; task t of object i is drawn from
    `fold_in(key, each i + t)`."""
    mesh = device_mesh(devices)
    images, angles = np.asarray(tasks.images), np.degrees(np.asarray(tasks.angles, float))
    learner, tasks, key = replicate((learner, tasks, key), mesh)
    found = _answers(learner, tasks, key, len(images), each, mesh)
    views, places, scores = (np.asarray(of_tasks).reshape(len(images), each, -1) for of_tasks in found)
    return PosePredictions(
        names=tuple(names),
        images=images,
        angles=angles,
        support=views[..., : tasks.shot],
        query=views[..., tasks.shot :],
        predicted=360 / tasks.turn * places.astype(float),
        scores=scores,
        metric=tasks.target.metric,
        turn=tasks.turn,
    )


@eqx.filter_jit
def _answers(
    learner: Learner, tasks: Poses, key: PRNGKeyArray, objects: int, each: int, mesh: jax.sharding.Mesh
) -> tuple[Int[Array, "tasks m"], Array, Array]:
    """Views, and for the queries among them predicted places on the circle and scores."""
    arrays, static = eqx.partition((learner, tasks, key), eqx.is_array)

    def of_task(arrays: tuple, number: Int[Array, ""]) -> tuple[Array, Array, Array]:
        learner, tasks, key = eqx.combine(arrays, static)
        draw, noise = jax.random.split(jax.random.fold_in(key, number))
        _, views = tasks.draw(draw)
        episode = tasks.episode(number // each, views)
        outputs = learner.answer(episode, key=noise)
        return views, episode.target.decode(outputs)[:, 0], episode.target.score(outputs, episode.query.y)

    return map_over_tasks(of_task, arrays, objects * each, mesh)


def draw_predictions(
    learner: Learner,
    poses: PoseSet,
    tasks: PoseTasks,
    shot: int,
    about: str,
    out: Path,
    *,
    split: Objects | None = None,
    objects: int = 6,
) -> None:
    """Write a picture of what a learner says about those of `poses` that are in `split`, by default those that it is
    judged on, and in it what the learner is. Of several processes all take part, and the first writes."""
    split = split or judged_on(tasks)
    poses = poses.part("fitting" if split == "train" and tasks.choosing else split)
    poses = poses.of(evenly(len(poses), MOST))
    found = predict_poses(learner, tasks.of(poses, shot), poses.names, key=key_of(EVALUATION_SEED))
    if is_first():
        title = f"{about}: angles of {'meta-training' if split == 'train' else split} objects"
        write_picture(predictions_figure(found, title, rows=objects), out, dpi=150)


def judged_on(tasks: PoseTasks) -> Objects:
    """The objects of a recipe's test tasks."""
    return "validation" if tasks.choosing else "test"
