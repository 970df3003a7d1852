"""Meta-training with many seeds at once: the numbers of each are those of a run of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as Spec
from jaxtyping import Array, Bool, Int, Key, PRNGKeyArray, PyTree

from nopal.errors import NopalError
from nopal.learners.learner import MetaLearner
from nopal.loop import Moment
from nopal.mapping import AXIS, Inside, device_mesh, placed
from nopal.training import MetaStep, Tasks, TrainState, calibrate, initial_state, make_optimiser

L = TypeVar("L", bound=MetaLearner)

SEEDS = "seeds"
SeedsHook = Callable[[Mapping[int, Moment]], Any]
"""Sees the moments of the learners that took part in a chunk, by their numbers."""


def seed_mesh(seeds: int, tasks: int, devices: int | None = None) -> Mesh:
    """Devices as rows that share the seeds; those of one row share the tasks of a step. Where several shapes take the
    same time, the one in which fewest devices wait for each other."""
    row = device_mesh(devices).devices
    shapes = [(rows, row.size // rows) for rows in range(row.size, 0, -1) if row.size % rows == 0]
    shape = min(shapes, key=lambda shape: -(-seeds // shape[0]) * -(-tasks // shape[1]))
    return Mesh(row.reshape(shape), (SEEDS, AXIS))


class SeedsStep(eqx.Module):
    """A chunk of steps for all seeds: arrays of `own` differ between seeds and have an axis for them, others don't."""

    common: PyTree
    own: PyTree
    keys: Key[Array, "seeds"]
    structure: PyTree
    optimiser: optax.GradientTransformation = eqx.field(static=True)
    tasks_per_step: int = eqx.field(static=True)
    mesh: Mesh = eqx.field(static=True)
    at_once: int | None = eqx.field(static=True)
    vectorise_seeds: bool = eqx.field(static=True)

    def __call__(
        self, states: PyTree, static: PyTree, takes_part: Bool[Array, "seeds"], start: Int[Array, ""], length: int
    ) -> tuple[PyTree, dict[str, Array]]:
        """The arrays of the states after `length` steps from `start` on, and metrics `[seeds, length]`; seeds that take
        no part stay as they are."""

        def of_device(common: PyTree, each: PyTree, start: Int[Array, ""]) -> tuple[PyTree, dict[str, Array]]:
            def of_seed(each: tuple) -> tuple[PyTree, dict[str, Array]]:
                own, key, takes_part, arrays = each
                tasks = eqx.combine(common, own, self.structure)
                inside = Inside(self.mesh.shape[AXIS])
                step = MetaStep(tasks, self.optimiser, self.tasks_per_step, inside, self.at_once)

                def body(arrays: PyTree, i: Int[Array, ""]) -> tuple[PyTree, dict[str, Array]]:
                    state, metrics = step(eqx.combine(arrays, static), jax.random.fold_in(key, i))
                    return eqx.filter(state, eqx.is_array), metrics

                def go(arrays: PyTree) -> tuple[PyTree, dict[str, Array]]:
                    return jax.lax.scan(body, arrays, start + jnp.arange(length))

                def stay(arrays: PyTree) -> tuple[PyTree, dict[str, Array]]:
                    _, metrics = jax.eval_shape(go, arrays)
                    return arrays, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), metrics)

                return jax.lax.cond(takes_part, go, stay, arrays)

            return jax.vmap(of_seed)(each) if self.vectorise_seeds else jax.lax.map(of_seed, each)

        each = (self.own, self.keys, takes_part, states)
        carry = jax.shard_map(
            of_device,
            mesh=self.mesh,
            in_specs=(Spec(), Spec(SEEDS), Spec()),
            out_specs=(Spec(SEEDS), Spec(SEEDS)),
            check_vma=False,
        )
        states, metrics = carry(self.common, each, start)
        return states, jax.lax.with_sharding_constraint(metrics, NamedSharding(self.mesh, Spec()))


@eqx.filter_jit(donate="all-except-first")
def _chunk(constants: tuple, states: PyTree) -> tuple[PyTree, dict[str, Array]]:
    step, static, takes_part, start, length = constants
    return step(states, static, takes_part, start, length)


@eqx.filter_jit
def _of_seed(states: PyTree, number: Int[Array, ""], mesh: Mesh) -> PyTree:
    """The state of one seed, which every process can read."""
    return jax.lax.with_sharding_constraint(
        jax.tree.map(lambda leaf: leaf[number], states), NamedSharding(mesh, Spec())
    )


def train_seeds(
    learners: Sequence[L],
    tasks: Tasks | Sequence[Tasks],
    *,
    steps: int,
    tasks_per_step: int = 8,
    optimiser: optax.GradientTransformation | None = None,
    keys: Sequence[PRNGKeyArray],
    hooks: Sequence[SeedsHook] = (),
    chunk: int = 100,
    devices: int | None = None,
    at_once: int | None = None,
    vectorise_seeds: bool | None = None,
    states: Sequence[TrainState] | None = None,
    starts: Sequence[int] | None = None,
) -> list[L]:
    """Meta-train several learners of one kind in one program, each with its key, as `nopal.train` does one by one.

    `tasks` may be one distribution for all, or one for each; arrays that those have in common (the same object, such as
    the images) are there once. Devices share the seeds first and the tasks of a step where some would be left over. On
    a device seeds are taken one by one or, with `vectorise_seeds`, together, whichever the backend runs faster by
    default. One by one the numbers are bit for bit those of `nopal.train` with the same `at_once` on as many devices as
    share a step's tasks, otherwise the same up to the order of sums. To resume, give `states` and the steps that each
    had done as `starts`, which may differ: those behind catch up first. Raises `NopalError` for learners or tasks that
    are not alike, and for counts that are not possible.
    """
    count = len(learners)
    several = list(tasks) if isinstance(tasks, Sequence) else [tasks] * count
    done = list(starts or [0] * count)
    if count < 1 or {len(keys), len(several), len(done), len(states or learners)} != {count}:
        raise NopalError(
            f"There are {count} learners, {len(several)} task distributions, {len(keys)} keys and {len(done)} starts; "
            "expected at least one learner, and as many of the others."
        )
    if steps < 1 or tasks_per_step < 1:
        raise NopalError(f"Steps are {steps} and tasks per step {tasks_per_step}; expected at least 1 of each.")
    if max(done) > steps:
        raise NopalError(f"A run has done {max(done)} steps already, more than {steps}; ask for at least as many.")
    if chunk < 1:
        raise NopalError(f"The chunk is {chunk} steps; expected at least 1.")
    optimiser = optimiser or make_optimiser()
    states = states or [initial_state(learner, optimiser) for learner in learners]
    mesh = seed_mesh(count, tasks_per_step, devices)
    padding = -count % mesh.shape[SEEDS]
    by_seed, by_all = NamedSharding(mesh, Spec(SEEDS)), NamedSharding(mesh, Spec())
    arrays, static = _stack(states, padding, "learners")
    common, own, structure = _common(several, padding)
    step = SeedsStep(
        placed(common, by_all),
        placed(own, by_seed),
        placed(_padded(list(keys), padding), by_seed),
        structure,
        optimiser,
        tasks_per_step,
        mesh,
        at_once,
        jax.default_backend() != "cpu" if vectorise_seeds is None else vectorise_seeds,
    )
    arrays = placed(arrays, by_seed)
    while (start := min(done)) < steps:
        ends = [chunk - start % chunk, steps - start, *(other - start for other in done if other > start)]
        length = min(ends)
        takes_part = np.array([other == start for other in done] + [False] * padding)
        where = placed((jnp.asarray(takes_part), jnp.asarray(start)), by_all)
        arrays, metrics = _chunk((step, static, *where, length), arrays)
        moments = {}
        values = {name: np.asarray(value) for name, value in metrics.items()}
        for i in np.flatnonzero(takes_part).tolist():
            done[i] += length
            state = eqx.combine(_of_seed(arrays, jnp.asarray(i), mesh), static)
            moments[i] = Moment(done[i], state, {name: value[i] for name, value in values.items()})
        for hook in hooks:
            hook(moments)
    trained = []
    for i in range(count):
        found = jax.device_get(_of_seed(arrays, jnp.asarray(i), mesh))
        learner = eqx.combine(jax.tree.map(jnp.asarray, found), static).learner
        trained.append(calibrate(learner, several[i], key=jax.random.fold_in(keys[i], steps), devices=devices))
    return trained


def _padded(leaves: Sequence[Any], padding: int) -> Array:
    """Stacked, and so that seeds that nobody asked for fill up the last row of devices."""
    return jnp.stack([*leaves, *[leaves[0]] * padding])


def _stack(trees: Sequence[PyTree], padding: int, what: str) -> tuple[PyTree, PyTree]:
    """The arrays of trees that are alike, stacked, and what is no array in the first."""
    parts = [eqx.partition(tree, eqx.is_array) for tree in trees]
    _check_alike([arrays for arrays, _ in parts], what)
    if not all(eqx.tree_equal(static, parts[0][1]) for _, static in parts):
        raise NopalError(f"The {what} of the seeds differ in more than their arrays; give some of one kind.")
    return jax.tree.map(lambda *leaves: _padded(leaves, padding), *(arrays for arrays, _ in parts)), parts[0][1]


def _check_alike(trees: Sequence[PyTree], what: str) -> None:
    shapes = [[(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)] for tree in trees]
    if any(other != shapes[0] for other in shapes):
        raise NopalError(f"The {what} of the seeds have arrays of different shapes; give some that are alike.")


def _common(tasks: Sequence[Tasks], padding: int) -> tuple[PyTree, PyTree, PyTree]:
    """What all distributions have in common, what is each one's own (stacked), and what is no array. Text that says how
    they were made is the first one's: it decides nothing."""
    parts = [eqx.partition(of_one, eqx.is_array) for of_one in tasks]
    _check_alike([arrays for arrays, _ in parts], "tasks")
    _check_alike([jax.eval_shape(of_one.sample, jax.random.key(0)) for of_one in tasks], "episodes")
    structure = jax.tree.structure(parts[0][0])
    columns = list(zip(*(jax.tree.leaves(arrays) for arrays, _ in parts)))
    shared = [all(leaf is column[0] for leaf in column) for column in columns]
    common = [column[0] if same else None for same, column in zip(shared, columns)]
    own = [None if same else _padded(column, padding) for same, column in zip(shared, columns)]
    return jax.tree.unflatten(structure, common), jax.tree.unflatten(structure, own), parts[0][1]
