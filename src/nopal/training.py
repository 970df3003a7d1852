"""Meta-training: the loop over a learner's loss on a task distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Protocol, TypeVar, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from nopal.errors import NopalError
from nopal.learners.learner import CoupledLearner, MetaLearner
from nopal.loop import Hook, run
from nopal.mapping import Inside, device_mesh, mean_over_tasks, replicate, share_examples
from nopal.nets.parameters import split_parameters
from nopal.tasks.episode import Episode
from nopal.tasks.target import Target

L = TypeVar("L", bound=MetaLearner)


@runtime_checkable
class Tasks(Protocol):
    """A task distribution: a pytree that draws an episode from a key, and says what its tasks predict."""

    @property
    def target(self) -> Target: ...

    def sample(self, key: PRNGKeyArray) -> Episode: ...


class TrainState(eqx.Module):
    """What a step changes, and so what a checkpoint holds."""

    learner: MetaLearner
    optimiser: PyTree


class MetaStep(eqx.Module):
    """One step of meta-training: the gradient of the mean loss of `tasks_per_step` episodes, handed to the
    optimiser."""

    tasks: Tasks
    optimiser: optax.GradientTransformation = eqx.field(static=True)
    tasks_per_step: int = eqx.field(static=True)
    mesh: Mesh | Inside = eqx.field(static=True)
    at_once: int | None = eqx.field(static=True, default=None)

    def __call__(self, state: TrainState, key: PRNGKeyArray) -> tuple[TrainState, dict[str, Array]]:
        own, fixed = eqx.partition(state.learner, eqx.is_inexact_array)
        # What the learner draws for all tasks is drawn once, and the gradient goes back through it once.
        common = jax.random.fold_in(key, self.tasks_per_step)
        drawn, pull, rest = eqx.filter_vjp(
            lambda own: _split(eqx.combine(own, fixed).for_step(common)), own, has_aux=True
        )
        constants, static = eqx.partition(rest, eqx.is_array)
        arrays = (drawn, constants, self.tasks, key)
        coupled, weights = self._coupling(arrays, static) if isinstance(state.learner, CoupledLearner) else ({}, None)

        def of_task(arrays: tuple, task: Int[Array, ""]) -> tuple[PyTree, dict[str, Array]]:
            (drawn, constants, tasks, key), weights = arrays
            episode, noise = self._episode(tasks, key, task)

            def loss(drawn: PyTree) -> tuple[Array, dict[str, Array]]:
                learner = eqx.combine(drawn, constants, static)
                value, aux = learner.loss(episode, key=noise)
                aux = {"loss": value} | aux
                if weights is not None:
                    value += self.tasks_per_step * weights[task] @ learner.coupling(episode, key=noise)
                return value, aux

            return jax.grad(loss, has_aux=True)(drawn)

        found = mean_over_tasks(of_task, (arrays, weights), self.tasks_per_step, self.mesh, self.at_once)
        gradient, metrics = pull(found[0])[0], found[1]
        updates, optimiser = self.optimiser.update(gradient, state.optimiser, own)
        return TrainState(eqx.apply_updates(state.learner, updates), optimiser), metrics | coupled

    def _episode(self, tasks: Tasks, key: PRNGKeyArray, task: Int[Array, ""]) -> tuple[Episode, PRNGKeyArray]:
        """The episode of a task of the step, and the key of what else is random in it."""
        draw, noise = jax.random.split(jax.random.fold_in(key, task))
        episode = tasks.sample(draw)
        return (share_examples(episode, self.mesh) if self.tasks_per_step < self.mesh.size else episode), noise

    def _coupling(self, arrays: tuple, static: PyTree) -> tuple[dict[str, Array], Float[Array, "tasks k"]]:
        """The part of the objective that all tasks make together, for the log, and its derivative by what each task
        contributes."""

        def of_task(arrays: tuple, task: Int[Array, ""]) -> Float[Array, "tasks k"]:
            drawn, constants, tasks, key = arrays
            episode, noise = self._episode(tasks, key, task)
            coupling = eqx.combine(drawn, constants, static).coupling(episode, key=noise)
            return jnp.zeros((self.tasks_per_step, len(coupling))).at[task].set(self.tasks_per_step * coupling)

        learner = eqx.combine(arrays[0], arrays[1], static)
        coupling = mean_over_tasks(of_task, arrays, self.tasks_per_step, self.mesh, self.at_once)
        value, weights = jax.value_and_grad(learner.couple)(coupling)
        return {"coupling": value}, weights


def _split(learner: MetaLearner) -> tuple[PyTree, PyTree]:
    return eqx.partition(learner, eqx.is_inexact_array)


Decay = Literal["times_rate", "per_step"]


def make_optimiser(
    rate: float | optax.Schedule = 1e-3,
    clip: float | None = None,
    weight_decay: float | None = None,
    decay: Decay = "times_rate",
    fresh: tuple[str, ...] = (),
    anneal: int | None = None,
) -> optax.GradientTransformation:
    """Adam; `clip` limits every entry of the gradient to [-clip, clip], as published for RGB images (with 10).

    Weights shrink apart from their gradients (Loshchilov and Hutter 2019, arXiv 1711.05101), every step by
    `weight_decay` times the rate ("times_rate", as in PyTorch and optax) or by `weight_decay` itself ("per_step", as in
    TensorFlow's contrib package and so in the code of Yin et al. 2020, where 0.001 is 2.0 of the other kind). What
    is kept as its logarithm or inverse softplus doesn't shrink (scales of weights that are drawn would grow to 0.69,
    penalties of ridge regression to 1), nor do learned inner rates.

    For the parameters that the patterns `fresh` name, Adam begins anew in every step, as it does by accident in the
    sinusoid notebook of Yin et al.: each moves by the whole rate against the sign of its gradient, however small.
    Raises `NopalError` where these patterns go together with a schedule, for weights that would grow, and for less than
    one step to anneal over.

    `anneal` lets all that moves weights fade to nothing over so many steps, along half a cosine (Loshchilov and Hutter
    2017, arXiv 1608.03983, without restarts; for meta-learning Antoniou et al. 2019, arXiv 1810.09502).
    """
    parts = [] if clip is None else [optax.clip(clip)]
    if weight_decay is not None and not 0 <= weight_decay < math.inf:
        raise NopalError(f"The weight decay is {weight_decay}; expected a number from 0 on.")
    if weight_decay and decay == "times_rate":
        adam = optax.adamw(rate, weight_decay=weight_decay, mask=_shrinking)
    else:
        adam = optax.adam(rate)
    if fresh:
        if callable(rate):
            raise NopalError("An Adam that begins anew in every step takes a fixed rate; give a number.")
        anew = optax.stateless(lambda g, _: jax.tree.map(lambda g: -rate * g / (jnp.abs(g) + 1e-7), g))

        def kinds(parameters: PyTree) -> PyTree:
            chosen, rest = split_parameters(parameters, fresh)
            return eqx.combine(jax.tree.map(lambda _: "anew", chosen), jax.tree.map(lambda _: "kept", rest))

        adam = optax.partition({"anew": anew, "kept": adam}, kinds)
    parts.append(adam)
    if weight_decay and decay == "per_step":
        parts.append(optax.add_decayed_weights(-weight_decay, mask=_shrinking))
    if anneal is not None and anneal < 1:
        raise NopalError(f"Steps are to be annealed over {anneal} steps; expected at least 1.")
    if anneal is not None:
        parts.append(optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, anneal)))
    return parts[0] if len(parts) == 1 else optax.chain(*parts)


def _shrinking(parameters: PyTree) -> PyTree:
    """Which parameters weight decay is for: none whose 0 is a value like any other."""
    scales, rest = split_parameters(parameters, ("*.rho.*", "*rates*", "*log_*"))
    return eqx.combine(jax.tree.map(lambda _: False, scales), jax.tree.map(lambda _: True, rest))


def initial_state(learner: MetaLearner, optimiser: optax.GradientTransformation) -> TrainState:
    """The state before the first step; the learner's arrays are copied."""
    learner = _copied(learner)
    return TrainState(learner, optimiser.init(eqx.filter(learner, eqx.is_inexact_array)))


def _copied(tree: PyTree) -> PyTree:
    """The loop gives the memory of its state to the program; what a caller still holds must not go with it."""
    return jax.tree.map(lambda leaf: jnp.copy(leaf) if eqx.is_array(leaf) else leaf, tree)


def mesh_for(learner: MetaLearner, tasks_per_step: int, devices: int | None = None) -> Mesh:
    """The devices that have a part in a step: no more than there are tasks, unless they can share a task's examples."""
    mesh = device_mesh(devices)
    return mesh if learner.shares_examples or tasks_per_step >= mesh.size else device_mesh(tasks_per_step)


def train(
    learner: L,
    tasks: Tasks,
    *,
    steps: int,
    tasks_per_step: int = 8,
    optimiser: optax.GradientTransformation | None = None,
    key: PRNGKeyArray,
    hooks: Sequence[Hook] = (),
    chunk: int = 100,
    devices: int | None = None,
    at_once: int | None = None,
    state: TrainState | None = None,
    start: int = 0,
) -> L:
    """Meta-train for `steps` steps and return the learner, calibrated where it normalises by running statistics.

    A device vectorises over `at_once` of its tasks, group after group; the default is what the backend runs fastest. To
    resume, give the `state` of a checkpoint and the steps it had done as `start`. Raises `NopalError` for counts that
    are not positive.
    """
    if steps < 1 or tasks_per_step < 1:
        raise NopalError(f"Steps are {steps} and tasks per step {tasks_per_step}; expected at least 1 of each.")
    if start > steps:
        raise NopalError(f"The run has done {start} steps already, more than {steps}; ask for at least as many.")
    optimiser = optimiser or make_optimiser()
    state = _copied(state) if state else initial_state(learner, optimiser)
    mesh = mesh_for(learner, tasks_per_step, devices)
    step = MetaStep(tasks, optimiser, tasks_per_step, mesh, at_once)
    step, state, key = replicate((step, state, key), mesh)
    trained = run(step, state, key, steps, start=start, chunk=chunk, hooks=hooks).learner
    # Through the host, so that the arrays are bound to no device and go along with anything else.
    trained = jax.tree.map(lambda leaf: jnp.asarray(jax.device_get(leaf)) if eqx.is_array(leaf) else leaf, trained)
    return calibrate(trained, tasks, key=jax.random.fold_in(key, steps), devices=devices)


def calibrate(learner: L, tasks: Tasks, *, key: PRNGKeyArray, episodes: int = 100, devices: int | None = None) -> L:
    """The learner with running statistics: the mean, over meta-training episodes, of the batch statistics of its
    (adapted) network.

    A learner that does not normalise by running statistics is returned as it is.
    """
    if learner.statistics != "running":
        return learner
    mesh = device_mesh(devices)
    on_mesh, tasks, key = replicate((learner, tasks, key), mesh)
    statistics = _statistics(on_mesh, tasks, key, episodes, mesh)
    return learner.with_running(jax.tree.map(jnp.asarray, jax.device_get(statistics)))


@eqx.filter_jit
def _statistics(learner: MetaLearner, tasks: Tasks, key: PRNGKeyArray, episodes: int, mesh: Mesh) -> PyTree:
    arrays, static = eqx.partition((learner, tasks, key), eqx.is_array)

    def of_episode(arrays: PyTree, number: Int[Array, ""]) -> PyTree:
        learner, tasks, key = eqx.combine(arrays, static)
        return learner.episode_statistics(tasks.sample(jax.random.fold_in(key, number)))

    return mean_over_tasks(of_episode, arrays, episodes, mesh)
