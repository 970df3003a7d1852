"""How a function is carried over many tasks: shared among devices, and inside a device one by one or vectorised.

Results don't depend on the number of devices: a task's key depends on its number only, and numbers that pad the last
share weigh nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as Spec
from jaxtyping import Array, Int, PyTree

from nopal.errors import NopalError

AXIS = "tasks"

OfTask = Callable[[PyTree, Int[Array, ""]], PyTree]
"""(arrays, number of the task) -> arrays."""


def device_mesh(devices: int | None = None) -> Mesh:
    """The first `devices` devices (all by default) as one row; CPU cores count where JAX was told so before it
    started. Raises `NopalError` for more devices than there are."""
    if devices is not None and not 1 <= devices <= jax.device_count():
        raise NopalError(
            f"{devices} devices were asked for; expected 1 to {jax.device_count()}, which is what JAX sees."
        )
    return Mesh(np.array(jax.devices()[:devices]), (AXIS,))


def replicate(tree: PyTree, mesh: Mesh) -> PyTree:
    """The arrays of `tree`, copied to every device of the mesh."""
    arrays, static = eqx.partition(tree, eqx.is_array)
    return eqx.combine(jax.device_put(arrays, NamedSharding(mesh, Spec())), static)


CACHE = 2**21
"""Bytes that the tasks a CPU takes together may touch: about what one core keeps close."""


def mean_over_tasks(function: OfTask, arrays: PyTree, tasks: int, mesh: Mesh, at_once: int | None = None) -> PyTree:
    """The mean of `function(arrays, task)` over the task numbers 0..tasks-1; `arrays` is the same for all.

    A device vectorises over `at_once` of its tasks and takes one such group after the other, keeping one sum: memory
    does not grow with the number of tasks. By default a group is as large as the backend runs fastest. Where there are
    fewer tasks than devices, every device has a part in every task, which is for `function` to share out
    (`share_examples`).
    """
    if tasks < mesh.size:
        values = [function(arrays, jnp.asarray(task)) for task in range(tasks)]
        return jax.tree.map(lambda *values: sum(values) / tasks, *values)

    def of_device(arrays: PyTree, groups: Int[Array, "groups group"]) -> PyTree:
        def weighted(number: Int[Array, ""]) -> PyTree:
            return jax.tree.map(lambda value: jnp.where(number < tasks, value, 0) / tasks, function(arrays, number))

        def of_group(numbers: Int[Array, "group"]) -> PyTree:
            if len(numbers) == 1:
                return weighted(numbers[0])
            return jax.tree.map(lambda values: values.sum(0), jax.vmap(weighted)(numbers))

        if len(groups) == 1:
            return jax.lax.psum(of_group(groups[0]), AXIS)
        zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(of_group, groups[0]))
        total, _ = jax.lax.scan(lambda sum, n: (jax.tree.map(jnp.add, sum, of_group(n)), None), zero, groups)
        return jax.lax.psum(total, AXIS)

    groups = _groups(function, arrays, tasks, mesh, at_once)
    return _sharded(of_device, mesh, Spec())(arrays, groups)


def share_examples(tree: PyTree, mesh: Mesh) -> PyTree:
    """`tree` with the first axis of its arrays divided among the devices, and so the work on them that follows; arrays
    whose length the devices don't divide stay whole. The values are the same."""
    row = NamedSharding(mesh, Spec(AXIS))
    return jax.tree.map(
        lambda x: jax.lax.with_sharding_constraint(x, row) if x.ndim and len(x) % mesh.size == 0 else x, tree
    )


def map_over_tasks(function: OfTask, arrays: PyTree, tasks: int, mesh: Mesh, at_once: int | None = None) -> PyTree:
    """`function(arrays, task)` for the task numbers 0..tasks-1, stacked; `arrays` is the same for all, and `at_once` is
    that of `mean_over_tasks`."""

    def of_device(arrays: PyTree, groups: Int[Array, "groups group"]) -> PyTree:
        def of_group(numbers: Int[Array, "group"]) -> PyTree:
            if len(numbers) == 1:
                return jax.tree.map(lambda value: value[None], function(arrays, numbers[0]))
            return jax.vmap(lambda number: function(arrays, number))(numbers)

        return jax.lax.map(of_group, groups)

    groups = _groups(function, arrays, tasks, mesh, at_once)
    stacked = _sharded(of_device, mesh, Spec(AXIS))(arrays, groups)
    return jax.tree.map(lambda values: values.reshape(-1, *values.shape[2:])[:tasks], stacked)


def _groups(
    function: OfTask, arrays: PyTree, tasks: int, mesh: Mesh, at_once: int | None
) -> Int[Array, "groups group"]:
    """The task numbers, a row for each group, and the same number of rows for each device; numbers from `tasks` on
    pad."""
    if at_once is not None and at_once < 1:
        raise NopalError(f"The tasks taken at once are {at_once}; expected at least 1, or None for the default.")
    share = -(-tasks // mesh.size)
    most = min(at_once or _fastest_group(function, arrays), share)
    rows = -(-share // most)
    return jnp.arange(mesh.size * rows * -(-share // rows)).reshape(mesh.size * rows, -1)


def _fastest_group(function: OfTask, arrays: PyTree) -> int:
    """How many tasks to take together: on a CPU what they touch should stay in cache, elsewhere it should fill the
    device but leave room in its memory."""
    touched = max(bytes_written(jax.make_jaxpr(function)(arrays, jnp.int32(0)).jaxpr), 1)
    if jax.default_backend() == "cpu":
        return max(CACHE // touched, 1)
    memory = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 2**34)
    return max(memory // 4 // touched, 1)


def bytes_written(jaxpr: Any) -> int:
    """Bytes of every operation's results, loops counted once: how much a program touches, before it is compiled."""
    total = 0
    for equation in jaxpr.eqns:
        parameters = jax.tree.leaves(list(equation.params.values()), is_leaf=lambda p: hasattr(p, "jaxpr"))
        inner = [bytes_written(getattr(p, "jaxpr", p)) for p in parameters if hasattr(getattr(p, "jaxpr", p), "eqns")]
        total += sum(inner) or sum(v.aval.size * v.aval.dtype.itemsize for v in equation.outvars)
    return total


def _sharded(function: Callable, mesh: Mesh, out: Spec) -> Callable[..., Any]:
    return jax.shard_map(function, mesh=mesh, in_specs=(Spec(), Spec(AXIS)), out_specs=out, check_vma=False)
