"""Work of Omniglot's shape with the settings of CACTUs. The images are noise: what they show costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PRNGKeyArray

from nopal import learners, nets, partitions, tasks
from nopal.learners.learner import MetaLearner
from nopal.learners.maml import parameter_names
from nopal.loop import run
from nopal.mapping import device_mesh, replicate, vectorise_by_default
from nopal.training import MetaStep, initial_state, make_optimiser

CLASSES, DRAWINGS, SHAPE = 1100, 20, (28, 28, 1)


def tasks_of(x: np.ndarray, *, shot: int, query: int, way: int) -> tasks.Classification:
    """Tasks on `x`, `DRAWINGS` rows a class."""
    labels = np.repeat(np.arange(len(x) // DRAWINGS), DRAWINGS)
    return tasks.Classification(x, partitions.from_labels(labels), way=way, shot=shot, query=query)


def images() -> np.ndarray:
    """As many as Omniglot has for meta-training, bytes."""
    return np.random.default_rng(0).integers(0, 256, (CLASSES * DRAWINGS, *SHAPE), np.uint8)


def published_maml() -> learners.MAML:
    """Four blocks of 32 filters with stride 2; five inner steps on the class-summed loss, the shift not adapted."""
    network = nets.Conv4(SHAPE, 20, scale=False, epsilon=1e-3, head_deviation=1.0, key=jax.random.key(0))
    return learners.MAML(
        network,
        inner_rate=0.05,
        inner_steps=5,
        adapted=("*.kernel", "*.bias"),
        reduction="class_sum",
        statistics="transductive",
    )


def published_protonet() -> learners.ProtoNet:
    """Four blocks of 64 filters with pooling, and no head."""
    return learners.ProtoNet(
        nets.Conv4(SHAPE, None, filters=64, downsample="pool", readout="flatten", key=jax.random.key(0))
    )


def training(
    learner: MetaLearner,
    tasks: tasks.Classification,
    key: PRNGKeyArray,
    *,
    tasks_per_step: int,
    steps: int,
    devices: int,
) -> Callable[[], None]:
    """A function that meta-trains for `steps` further steps as `nopal.train` does, in one compiled program."""
    mesh, optimiser = device_mesh(devices), make_optimiser()
    step = MetaStep(tasks, optimiser, tasks_per_step, mesh, vectorise_by_default())
    step, state, key = replicate((step, initial_state(learner, optimiser), key), mesh)

    def advance() -> None:
        nonlocal state
        state = run(step, state, key, steps, chunk=steps)

    return advance


def hand_over(
    learner: MetaLearner, tasks: tasks.Classification, key: PRNGKeyArray, count: int, file: Path
) -> dict[str, float]:
    """Write the learner's weights and the `count` episodes of its first step for a peer.

    Returns the meta-loss and the norm of its gradient there.
    """
    first = jax.random.fold_in(key, 0)
    draws = jax.vmap(lambda t: jax.random.split(jax.random.fold_in(first, t))[0])(jnp.arange(count))
    episodes = jax.jit(jax.vmap(tasks.sample))(draws)
    weights = jax.tree.leaves(eqx.filter(learner.network, eqx.is_inexact_array))
    sets = {"support": episodes.support, "query": episodes.query}
    arrays = {f"{name}.{field}": getattr(examples, field) for name, examples in sets.items() for field in "xy"}
    np.savez(file, **dict(zip(parameter_names(learner.network), weights)), **arrays)

    parameters, static = eqx.partition(learner, eqx.is_inexact_array)

    @jax.jit
    def derive(parameters, episodes):
        loss = jax.value_and_grad(lambda p, episode: eqx.combine(p, static).loss(episode)[0])
        losses, gradients = jax.lax.map(lambda episode: loss(parameters, episode), episodes)
        return losses.mean(), optax.tree.norm(jax.tree.map(lambda g: g.mean(0), gradients))

    loss, norm = derive(parameters, episodes)
    return {"loss": float(loss), "norm": float(norm)}
