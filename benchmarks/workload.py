"""What is measured: work of Omniglot's shape with the settings of CACTUs (the images are noise: what they show costs
nothing), and the sinusoids."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray, PyTree

from nopal import learners, nets, partitions
from nopal.learners.learner import MetaLearner
from nopal.loop import run
from nopal.mapping import mean_over_tasks, replicate
from nopal.nets.parameters import parameter_names
from nopal.tasks import Classification, Episode, Sinusoids
from nopal.training import MetaStep, initial_state, make_optimiser, mesh_for

CLASSES, DRAWINGS, SHAPE = 1100, 20, (28, 28, 1)
KEY = 1


@dataclasses.dataclass(frozen=True)
class Work:
    """A learner on `count` tasks a step, and what a peer has to be told to do the same."""

    learner: MetaLearner
    tasks: Classification | Sinusoids
    count: int
    settings: dict[str, Any]


def images(classes: int = CLASSES) -> np.ndarray:
    """As many as Omniglot has for meta-training, bytes."""
    return np.random.default_rng(0).integers(0, 256, (classes * DRAWINGS, *SHAPE), np.uint8)


def tasks_of(x: np.ndarray, *, way: int, shot: int, query: int) -> Classification:
    """Tasks on `x`, `DRAWINGS` rows a class."""
    labels = np.repeat(np.arange(len(x) // DRAWINGS), DRAWINGS)
    return Classification(x, partitions.from_labels(labels), way=way, shot=shot, query=query)


def maml(
    count: int,
    *,
    way: int = 20,
    shot: int = 1,
    query: int = 5,
    inner_steps: int = 5,
    filters: int = 32,
    classes: int = CLASSES,
) -> Work:
    """W(count): second-order MAML on Omniglot's shape. Four blocks with stride 2; the class-summed loss, the shift not
    adapted, queries normalised by their own statistics."""
    network = nets.Conv4(
        SHAPE, way, filters=filters, scale=False, epsilon=1e-3, head_deviation=1.0, key=jax.random.key(0)
    )
    learner = learners.MAML(
        network,
        inner_rate=0.05,
        inner_steps=inner_steps,
        adapted=("*.kernel", "*.bias"),
        reduction="class_sum",
        statistics="transductive",
    )
    settings = {"network": "conv4", "loss": "class_sum", "inner_rate": 0.05, "inner_steps": inner_steps}
    return Work(learner, tasks_of(images(classes), way=way, shot=shot, query=query), count, settings)


def sinusoids(count: int) -> Work:
    """The sinusoids of MAML: 10 shots, 10 queries, one inner step."""
    learner = learners.MAML(nets.MLP(1, 1, key=jax.random.key(0)), inner_rate=0.01, inner_steps=1)
    settings = {"network": "mlp", "loss": "squared_error", "inner_rate": 0.01, "inner_steps": 1}
    return Work(learner, Sinusoids(), count, settings)


def protonet() -> Work:
    """Prototypical networks as published: four blocks of 64 filters with pooling, 20-way 1-shot, 15 queries a class."""
    network = nets.Conv4(SHAPE, None, filters=64, downsample="pool", readout="flatten", key=jax.random.key(0))
    return Work(learners.ProtoNet(network), tasks_of(images(), way=20, shot=1, query=15), 1, {"network": "pooled"})


def step_of(work: Work, devices: int) -> tuple[MetaStep, PyTree, PRNGKeyArray]:
    """The meta-step as `nopal.train` makes it, its first state and its key."""
    mesh, optimiser = mesh_for(work.learner, work.count, devices), make_optimiser()
    step = MetaStep(work.tasks, optimiser, work.count, mesh)
    return replicate((step, initial_state(work.learner, optimiser), jax.random.key(KEY)), mesh)


def training(work: Work, *, steps: int, devices: int) -> Callable[[], None]:
    """A function that meta-trains for `steps` further steps as `nopal.train` does, in one compiled program."""
    step, state, key = step_of(work, devices)

    def advance() -> None:
        nonlocal state
        state = run(step, state, key, steps, chunk=steps)

    return advance


class Drawing(eqx.Module):
    """A step that draws the episodes of a meta-step and only sums their inputs."""

    step: MetaStep

    def __call__(self, state: Array, key: PRNGKeyArray) -> tuple[Array, dict[str, Array]]:
        def of_task(arrays: tuple, task: Array) -> Array:
            tasks, key = arrays
            episode = tasks.sample(jax.random.split(jax.random.fold_in(key, task))[0])
            return episode.support.x.sum() + episode.query.x.sum()

        step = self.step
        ink = mean_over_tasks(of_task, (step.tasks, key), step.tasks_per_step, step.mesh)
        return state + ink, {"ink": ink}


def drawing(work: Work, *, steps: int, devices: int) -> Callable[[], None]:
    """A function that draws the episodes of `steps` meta-steps over the same devices and does nothing with them."""
    step, _, key = step_of(work, devices)
    return lambda: run(Drawing(step), replicate(jnp.zeros(()), step.mesh), key, steps, chunk=steps)


def episodes_of(work: Work, count: int) -> list[Episode]:
    """Those of the first meta-step."""
    first = jax.random.fold_in(jax.random.key(KEY), 0)
    sample = eqx.filter_jit(lambda tasks, key: tasks.sample(key))
    return [sample(work.tasks, jax.random.split(jax.random.fold_in(first, t))[0]) for t in range(count)]


def hand_over(work: Work, file: Path) -> list[Episode]:
    """Write the learner's weights and the episodes of its first step for peers, and return the episodes."""
    episodes = episodes_of(work, work.count)
    weights = jax.tree.leaves(eqx.filter(work.learner.network, eqx.is_inexact_array))
    sets = {"support": [e.support for e in episodes], "query": [e.query for e in episodes]}
    arrays = {
        f"{name}.{field}": np.stack([getattr(examples, field) for examples in of_task])
        for name, of_task in sets.items()
        for field in "xy"
    }
    np.savez(file, **dict(zip(parameter_names(work.learner.network), weights)), **arrays)
    return episodes


def derived(work: Work, episodes: list[Episode]) -> dict[str, float]:
    """The meta-loss of the episodes (for regression the squared error, without its constant) and the norm of its
    gradient, in double precision: at 20 ways five inner steps can blow up a rounding error of single precision to per
    cents of the norm."""
    with jax.enable_x64(True):
        found = [_derive(*_double((work.learner, episode))) for episode in episodes]
        losses, gradients = zip(*found)
        gradient = jax.tree.map(lambda *g: sum(g) / len(found), *gradients)
        return {"loss": float(np.mean(losses)), "norm": float(optax.tree.norm(gradient))}


def adapted(work: Work, episodes: list[Episode]) -> dict[str, float]:
    """The mean query loss after the inner loop, and the norm of all that it changed, in double precision."""
    with jax.enable_x64(True):
        found = [_adapt(*_double((work.learner, episode))) for episode in episodes]
        losses, moved = zip(*found)
        return {"loss": float(np.mean(losses)), "norm": float(optax.tree.norm(moved))}


def _double(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a, tree)


def _loss(learner: MetaLearner, episode: Episode) -> Array:
    y = episode.query.y
    least = 0.0 if isinstance(learner, learners.ProtoNet) or y.ndim == 1 else episode.target.loss(y, y).mean()
    return learner.loss(episode, key=jax.random.key(0))[0] - least


@eqx.filter_jit
def _derive(learner: MetaLearner, episode: Episode) -> tuple[Array, PyTree]:
    return eqx.filter_value_and_grad(_loss)(learner, episode)


@eqx.filter_jit
def _adapt(learner: MetaLearner, episode: Episode) -> tuple[Array, PyTree]:
    before, after = (
        eqx.filter(n, eqx.is_inexact_array) for n in (learner.network, learner.adapt(episode.support).network)
    )
    return _loss(learner, episode), jax.tree.map(jnp.subtract, after, before)
