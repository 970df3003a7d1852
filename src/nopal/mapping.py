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


def vectorise_by_default() -> bool:
    """On a CPU a task's working set stays in cache when tasks are taken one by one; elsewhere they fill the device
    together."""
    return jax.default_backend() != "cpu"


def mean_over_tasks(
    function: Callable[[PyTree, Int[Array, ""]], PyTree], arrays: PyTree, tasks: int, mesh: Mesh, vectorise: bool
) -> PyTree:
    """The mean of `function(arrays, task)` over the task numbers 0..tasks-1; `arrays` is the same for all."""
    share = -(-tasks // mesh.size)

    def of_device(arrays: PyTree, numbers: Int[Array, "share"]) -> PyTree:
        def weighted(number: Int[Array, ""]) -> PyTree:
            return jax.tree.map(lambda value: jnp.where(number < tasks, value, 0) / tasks, function(arrays, number))

        if vectorise:
            total = jax.tree.map(lambda values: values.sum(0), jax.vmap(weighted)(numbers))
        else:
            zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(weighted, numbers[0]))
            total, _ = jax.lax.scan(lambda sum, n: (jax.tree.map(jnp.add, sum, weighted(n)), None), zero, numbers)
        return jax.lax.psum(total, AXIS)

    return _sharded(of_device, mesh, Spec())(arrays, jnp.arange(share * mesh.size))


def map_over_tasks(
    function: Callable[[PyTree, Int[Array, ""]], PyTree], arrays: PyTree, tasks: int, mesh: Mesh, vectorise: bool
) -> PyTree:
    """`function(arrays, task)` for the task numbers 0..tasks-1, stacked; `arrays` is the same for all."""
    share = -(-tasks // mesh.size)

    def of_device(arrays: PyTree, numbers: Int[Array, "share"]) -> PyTree:
        return jax.lax.map(lambda number: function(arrays, number), numbers, batch_size=64 if vectorise else None)

    stacked = _sharded(of_device, mesh, Spec(AXIS))(arrays, jnp.arange(share * mesh.size))
    return jax.tree.map(lambda values: values[:tasks], stacked)


def _sharded(function: Callable, mesh: Mesh, out: Spec) -> Callable[..., Any]:
    return jax.shard_map(function, mesh=mesh, in_specs=(Spec(), Spec(AXIS)), out_specs=out, check_vma=False)
