"""How a function is carried over many tasks: shared among devices, and inside a device one by one or vectorised.

Results don't depend on the number of devices: a task's key depends on its number only, and numbers that pad the last
share weigh nothing.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import jaxpr_as_fun
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as Spec
from jaxtyping import Array, Int, PyTree

from nopal.errors import NopalError

AXIS = "tasks"

OfTask = Callable[[PyTree, Int[Array, ""]], PyTree]
"""(arrays, number of the task) -> arrays."""


@dataclasses.dataclass(frozen=True)
class Inside:
    """Stands for a mesh in a program that its devices run already: `size` of them, along `AXIS`, share the tasks."""

    size: int


def device_mesh(devices: int | None = None) -> Mesh:
    """`devices` devices (all by default) as one row, as many of each process; CPU cores count where JAX was told so
    before it started. Raises `NopalError` for more devices than there are."""
    if devices is not None and not 1 <= devices <= jax.device_count():
        raise NopalError(
            f"{devices} devices were asked for; expected 1 to {jax.device_count()}, which is what JAX sees."
        )
    # A process without a device in the mesh could not even read the result.
    share = -(-(devices or jax.device_count()) // jax.process_count())
    chosen = [device for i in range(jax.process_count()) for device in jax.local_devices(process_index=i)[:share]]
    return Mesh(np.array(chosen), (AXIS,))


def replicate(tree: PyTree, mesh: Mesh) -> PyTree:
    """The arrays of `tree`, copied to every device of the mesh."""
    return placed(tree, NamedSharding(mesh, Spec()))


def placed(tree: PyTree, sharding: NamedSharding) -> PyTree:
    """The arrays of `tree`, of which every process holds the whole, laid out over devices as `sharding` says."""
    arrays, static = eqx.partition(tree, eqx.is_array)
    if sharding.is_fully_addressable:
        return eqx.combine(jax.device_put(arrays, sharding), static)
    return eqx.combine(jax.tree.map(lambda leaf: _own_parts(leaf, sharding), arrays), static)


def _own_parts(leaf: Array, sharding: NamedSharding) -> Array:
    """What `jax.device_put` does not do for PRNG keys and committed arrays where devices belong to other processes."""
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = _own_parts(jax.random.key_data(leaf), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    host = np.asarray(leaf)
    return jax.make_array_from_callback(host.shape, sharding, lambda part: host[part])


ROOM = 2**27
"""Bytes that the tasks a CPU takes together may write: more of them share the cost of each operation, but leave the
cache (`docs/performance.md`)."""

AT_ONCE = "NOPAL_TASKS_AT_ONCE"
"""The environment variable that takes the place of the default for `at_once`, in training and in tests alike."""

MEETING = 2**24
"""Bytes that are written in the time that devices need to add up what each has found (about half a millisecond)."""


def mean_over_tasks(
    function: OfTask, arrays: PyTree, tasks: int, mesh: Mesh | Inside, at_once: int | None = None
) -> PyTree:
    """The mean of `function(arrays, task)` over the task numbers 0..tasks-1; `arrays` is the same for all.

    A device vectorises over `at_once` of its tasks and takes one such group after the other, keeping one sum: memory
    does not grow with the number of tasks. By default a group is as large as the backend runs fastest. Where there are
    fewer tasks than devices, or so little to do that sharing it out would take longer, every device does all of it;
    `function` may then divide the examples of a task (`share_examples`).
    """

    def of_device(arrays: PyTree, devices: int) -> PyTree:
        traced, shapes, written = _traced(function, arrays)
        if jax.process_count() == 1 and tasks * written < MEETING:
            devices = 1
        groups = _groups(tasks, devices, at_once, written)

        def weighted(number: Int[Array, ""]) -> PyTree:
            return jax.tree.map(lambda value: jnp.where(number < tasks, value, 0) / tasks, traced(arrays, number))

        def of_group(numbers: Int[Array, "group"]) -> PyTree:
            if len(numbers) == 1:
                return weighted(numbers[0])
            return jax.tree.map(lambda values: values.sum(0), jax.vmap(weighted)(numbers))

        if len(groups) == 1:
            total = of_group(groups[0])
        else:
            zero = jax.tree.map(lambda s: jnp.zeros(s.shape, jnp.result_type(s.dtype, float)), shapes)
            total, _ = jax.lax.scan(lambda sum, n: (jax.tree.map(jnp.add, sum, of_group(n)), None), zero, groups)
        return jax.lax.psum(total, AXIS) if devices > 1 else total

    if tasks < mesh.size:
        return of_device(arrays, 1)
    return _on_devices(of_device, mesh, Spec())(arrays)


def map_over_tasks(function: OfTask, arrays: PyTree, tasks: int, mesh: Mesh, at_once: int | None = None) -> PyTree:
    """`function(arrays, task)` for the task numbers 0..tasks-1, stacked; `arrays` is the same for all, and `at_once` is
    that of `mean_over_tasks`."""

    def of_device(arrays: PyTree, devices: int) -> PyTree:
        traced, _, written = _traced(function, arrays)

        def of_group(numbers: Int[Array, "group"]) -> PyTree:
            if len(numbers) == 1:
                return jax.tree.map(lambda value: value[None], traced(arrays, numbers[0]))
            return jax.vmap(lambda number: traced(arrays, number))(numbers)

        return jax.lax.map(of_group, _groups(tasks, devices, at_once, written))

    stacked = _on_devices(of_device, mesh, Spec(AXIS))(arrays)
    # Every process reads all of it.
    return jax.lax.with_sharding_constraint(
        jax.tree.map(lambda values: values.reshape(-1, *values.shape[2:])[:tasks], stacked),
        NamedSharding(mesh, Spec()),
    )


def share_examples(tree: PyTree, mesh: Mesh | Inside) -> PyTree:
    """`tree` with the first axis of its arrays divided among the devices, and so the work on them that follows; arrays
    whose length the devices don't divide stay whole. The values are the same."""
    if isinstance(mesh, Inside):
        return tree
    row = NamedSharding(mesh, Spec(AXIS))
    return jax.tree.map(
        lambda x: jax.lax.with_sharding_constraint(x, row) if x.ndim and len(x) % mesh.size == 0 else x, tree
    )


def _traced(function: OfTask, arrays: PyTree) -> tuple[OfTask, PyTree, int]:
    """The function as a program, so that it is traced once, which takes a third of the time until a run begins; the
    shapes of what it returns; the bytes it writes."""
    program, shapes = jax.make_jaxpr(function, return_shape=True)(arrays, jnp.int32(0))
    evaluate, structure = jaxpr_as_fun(program), jax.tree.structure(shapes)

    def traced(arrays: PyTree, number: Int[Array, ""]) -> PyTree:
        return jax.tree.unflatten(structure, evaluate(*jax.tree.leaves((arrays, number))))

    return traced, shapes, bytes_written(program.jaxpr)


def _groups(tasks: int, devices: int, at_once: int | None, written: int) -> Int[Array, "groups group"]:
    """The task numbers of the device that asks, a row for each group; each of the `devices` has as many, and numbers
    from `tasks` on pad."""
    if at_once is not None and at_once < 1:
        raise NopalError(f"The tasks taken at once are {at_once}; expected at least 1, or None for the default.")
    share = -(-tasks // devices)
    rows = -(-share // min(at_once or tasks_at_once() or max(_room() // max(written, 1), 1), share))
    first = jnp.arange(rows * -(-share // rows), dtype=jnp.int32).reshape(rows, -1)
    return first if devices == 1 else first + first.size * jax.lax.axis_index(AXIS)


def tasks_at_once() -> int | None:
    """Tasks that a device shall take together by the environment, wherever a program does not say; raises `NopalError`
    for what is no number of them."""
    asked = os.environ.get(AT_ONCE)
    if not asked:
        return None
    if not asked.isdecimal() or int(asked) < 1:
        raise NopalError(f"{AT_ONCE} is {asked!r}; expected a whole number from 1 on, or nothing for the default.")
    return int(asked)


def _room() -> int:
    """Bytes that the tasks taken together may write: elsewhere than on a CPU they should fill the device but leave room
    in its memory."""
    if jax.default_backend() == "cpu":
        return ROOM
    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 2**34) // 4


def bytes_written(jaxpr: Any) -> int:
    """Bytes of every operation's results, loops counted once: how much a program does, before it is compiled."""
    total = 0
    for equation in jaxpr.eqns:
        parameters = jax.tree.leaves(list(equation.params.values()), is_leaf=lambda p: hasattr(p, "jaxpr"))
        inner = [bytes_written(getattr(p, "jaxpr", p)) for p in parameters if hasattr(getattr(p, "jaxpr", p), "eqns")]
        total += sum(inner) or sum(v.aval.size * v.aval.dtype.itemsize for v in equation.outvars)
    return total


def _on_devices(function: Callable[[PyTree, int], PyTree], mesh: Mesh | Inside, out: Spec) -> Callable[..., PyTree]:
    """`function`, of arrays and the number of devices, on each device."""

    def of_device(arrays: PyTree) -> PyTree:
        return function(arrays, mesh.size)

    if isinstance(mesh, Inside):
        return of_device
    return jax.shard_map(of_device, mesh=mesh, in_specs=Spec(), out_specs=out, check_vma=False)
