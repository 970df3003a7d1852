"""Work of Omniglot's shape with the settings of CACTUs. The images are noise: what they show costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray, PyTree

from nopal import learners, nets, partitions, tasks
from nopal.learners.learner import MetaLearner
from nopal.learners.maml import parameter_names
from nopal.loop import run
from nopal.mapping import device_mesh, replicate
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
    step = MetaStep(tasks, optimiser, tasks_per_step, mesh)
    step, state, key = replicate((step, initial_state(learner, optimiser), key), mesh)

    def advance() -> None:
        nonlocal state
        state = run(step, state, key, steps, chunk=steps)

    return advance


def hand_over(
    learner: MetaLearner, tasks: tasks.Classification, key: PRNGKeyArray, count: int, file: Path
) -> dict[str, float]:
    """Write the learner's weights and the `count` episodes of its first step for a peer.

    Returns the meta-loss and the norm of its gradient there, in double precision: at 20 ways five inner steps can blow
    up a rounding error of single precision to per cents of the norm.
    """
    first = jax.random.fold_in(key, 0)
    episodes = [tasks.sample(jax.random.split(jax.random.fold_in(first, t))[0]) for t in range(count)]
    weights = jax.tree.leaves(eqx.filter(learner.network, eqx.is_inexact_array))
    sets = {"support": [e.support for e in episodes], "query": [e.query for e in episodes]}
    arrays = {
        f"{name}.{field}": np.stack([getattr(examples, field) for examples in of_task])
        for name, of_task in sets.items()
        for field in "xy"
    }
    np.savez(file, **dict(zip(parameter_names(learner.network), weights)), **arrays)
    with jax.enable_x64(True):
        found = [_derive(*_double((learner, episode))) for episode in episodes]
        losses, gradients = zip(*found)
        gradient = jax.tree.map(lambda *g: sum(g) / count, *gradients)
        return {"loss": float(sum(losses) / count), "norm": float(optax.tree.norm(gradient))}


def _double(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda a: a.astype(jnp.float64) if eqx.is_inexact_array(a) else a, tree)


@eqx.filter_jit
def _derive(learner: MetaLearner, episode: tasks.Episode) -> tuple[Array, PyTree]:
    return eqx.filter_value_and_grad(lambda learner: learner.loss(episode)[0])(learner)
