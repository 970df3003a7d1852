"""A training state as one run of bytes with a description, and back bit for bit."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree, UInt8

from nopal.errors import NopalError

_END = np.zeros(1, np.uint8)  # a state may have no arrays, and Orbax refuses an empty one


def describe(state: PyTree) -> list[list[str]]:
    """Path and type of every array of the state, such as [".head.weight", "float32[5, 64]"]."""
    return [[jax.tree_util.keystr(path), f"{leaf.dtype}{list(leaf.shape)}"] for path, leaf in _arrays(state)]


def pack(state: PyTree) -> UInt8[np.ndarray, "n"]:
    """The bytes of all arrays of the state, one after the other (PRNG keys by their data), and a zero at the end."""
    parts = [_host(leaf).reshape(-1).view(np.uint8) for _, leaf in _arrays(state)]
    return np.concatenate([*parts, _END])


def unpack(packed: UInt8[np.ndarray, "n"], like: PyTree) -> PyTree:
    """The state that was packed, with `like`'s structure, types, shapes, and leaves that are not arrays.

    Arrays are on the default device and free to move, as if just made.
    """
    restored, start = {}, 0
    for path, leaf in _arrays(like):
        form = _data(leaf)
        array = np.frombuffer(packed.data, form.dtype, form.size, start).reshape(form.shape)
        restored[path], start = _like(leaf, array), start + array.nbytes
    return jax.tree_util.tree_map_with_path(lambda path, leaf: restored.get(path, leaf), like)


def find_nan(state: PyTree) -> str | None:
    """The path of the first array that holds a NaN."""
    arrays = ((path, _host(leaf)) for path, leaf in _arrays(state))
    bad = (path for path, array in arrays if jnp.issubdtype(array.dtype, jnp.inexact) and np.isnan(array).any())
    return next((jax.tree_util.keystr(path) for path in bad), None)


def compare(found: list[list[str]], expected: list[list[str]], name: str) -> None:
    """Raise `NopalError` at the first array in which two descriptions differ, whatever their order; `name` says what
    was found."""
    here, there = dict(found), dict(expected)
    for path in [*there, *here]:
        if here.get(path) != there.get(path):
            raise NopalError(
                f"{name} has {here.get(path, 'nothing')} at {path} where {there.get(path, 'nothing')} is expected; go "
                "on with the configuration that it was written with."
            )


def reordered(packed: UInt8[np.ndarray, "n"], found: list[list[str]], like: PyTree) -> UInt8[np.ndarray, "n"]:
    """The bytes of the arrays that `found` describes, in the order of `like`, which has the same: the fields of a class
    may have stood in another order when a state was packed."""
    sizes = {jax.tree_util.keystr(path): _data(leaf).size * _data(leaf).dtype.itemsize for path, leaf in _arrays(like)}
    ends = np.cumsum([sizes[path] for path, _ in found], dtype=int)
    parts = {path: packed[end - sizes[path] : end] for (path, _), end in zip(found, ends)}
    return np.concatenate([*(parts[path] for path in sizes), _END])


def _data(leaf: Any) -> Any:
    """Type and shape of an array, of PRNG keys those of their data."""
    return jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf


def _arrays(state: PyTree) -> list[tuple[Any, Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return [(path, leaf) for path, leaf in leaves if isinstance(leaf, jax.Array | np.ndarray)]


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _host(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _like(leaf: Any, array: np.ndarray) -> Any:
    if isinstance(leaf, np.ndarray):
        return array.copy()
    return (
        jax.random.wrap_key_data(jnp.array(array), impl=jax.random.key_impl(leaf))
        if _is_key(leaf)
        else jnp.array(array)
    )
