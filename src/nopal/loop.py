"""The one loop under everything that trains: chunks of steps in one compiled program, the host awake between chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from nopal.errors import NopalError

Step = Callable[[PyTree, PRNGKeyArray], tuple[PyTree, dict[str, Array]]]
"""(state, key) -> (state, metrics): pure, and itself a pytree, so that the data it holds are arguments of the program
and not constants."""


class Moment(NamedTuple):
    """What a hook sees: steps done since the run began, the state after them, and each step's metrics in the last
    chunk."""

    step: int
    state: PyTree
    metrics: dict[str, np.ndarray]


Hook = Callable[[Moment], Any]


def run(
    step: Step,
    state: PyTree,
    key: PRNGKeyArray,
    steps: int,
    *,
    start: int = 0,
    chunk: int = 100,
    hooks: Sequence[Hook] = (),
) -> PyTree:
    """The state after `steps` steps, of which `start` have been done already; a hook stops the run by raising.

    Step i gets the key `fold_in(key, i)`, and chunks end at multiples of `chunk`, so a run that is resumed where a
    chunk ended repeats the uninterrupted one bit for bit. The memory of `state` is given to the program; keep a copy of
    what is needed later.
    """
    if chunk < 1:
        raise NopalError(f"The chunk is {chunk} steps; expected at least 1.")
    while start < steps:
        length = min(chunk - start % chunk, steps - start)
        state, metrics = _chunk((step, key, jnp.asarray(start), length), state)
        start += length
        moment = Moment(start, state, {name: np.asarray(values) for name, values in metrics.items()})
        for hook in hooks:
            hook(moment)
    return state


@eqx.filter_jit(donate="all-except-first")  # the state alone: what is donated is gone, and others hold the key
def _chunk(constants: tuple[Step, PRNGKeyArray, Int[Array, ""], int], state: PyTree) -> tuple[PyTree, dict[str, Array]]:
    step, key, start, length = constants
    arrays, static = eqx.partition(state, eqx.is_array)

    def body(arrays: PyTree, i: Int[Array, ""]) -> tuple[PyTree, dict[str, Array]]:
        state, metrics = step(eqx.combine(arrays, static), jax.random.fold_in(key, i))
        return eqx.filter(state, eqx.is_array), metrics

    arrays, metrics = jax.lax.scan(body, arrays, start + jnp.arange(length))
    return eqx.combine(arrays, static), metrics
