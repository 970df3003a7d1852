"""How a function is carried over many tasks: shared among devices, and inside a device one by one or vectorised.

Results don't depend on the number of devices: a task's key depends on its number only, and numbers that pad the last
share weigh nothing.
"""

from __future__ import annotations

import dataclasses
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


def vectorise_by_default() -> bool:
    """On a CPU a task's working set stays in cache when tasks are taken one by one; elsewhere they fill the device
    together."""
    return jax.default_backend() != "cpu"


def mean_over_tasks(
    function: Callable[[PyTree, Int[Array, ""]], PyTree],
    arrays: PyTree,
    tasks: int,
    mesh: Mesh | Inside,
    vectorise: bool,
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
    # Every process reads all of it.
    return jax.lax.with_sharding_constraint(
        jax.tree.map(lambda values: values[:tasks], stacked), NamedSharding(mesh, Spec())
    )


def _sharded(function: Callable, mesh: Mesh | Inside, out: Spec) -> Callable[..., Any]:
    if isinstance(mesh, Inside):
        return lambda arrays, numbers: function(arrays, numbers.reshape(mesh.size, -1)[jax.lax.axis_index(AXIS)])
    return jax.shard_map(function, mesh=mesh, in_specs=(Spec(), Spec(AXIS)), out_specs=out, check_vma=False)
