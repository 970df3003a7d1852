"""Newton's method for smooth convex functions, its steps found by conjugate gradients (Nocedal & Wright, Numerical
Optimization, 2006, Algorithm 7.1): no matrix is formed, and everything happens inside the compiled program."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int32

_Solving = tuple[Array, Array, Array, Array, Array]
Function = Callable[[Float[Array, "..."]], Float[Array, ""]]


class Minimum(NamedTuple):
    """Where a function is least, its value there, the norm of its gradient, and the steps that were taken."""

    x: Float[Array, "..."]
    value: Float[Array, ""]
    steepness: Float[Array, ""]
    iterations: Int32[Array, ""]


class _State(NamedTuple):
    x: Float[Array, "..."]
    value: Float[Array, ""]
    slope: Float[Array, "..."]
    iteration: Int32[Array, ""]
    stuck: Array


def minimise(
    function: Function,
    start: Float[Array, "..."],
    *,
    tolerance: float = 1e-6,
    iterations: int = 100,
    products: int = 250,
) -> Minimum:
    """The minimum of a convex function, from `start`.

    It has been found when the norm of the gradient is at most `tolerance` times that at `start`, or when rounding
    leaves no step that makes the function less. `products` bounds the products of the Hessian with a vector within an
    iteration.
    """
    value_and_slope = jax.value_and_grad(function)
    value, slope = value_and_slope(start)
    first = _norm(slope)

    def unfinished(state: _State) -> Array:
        return (_norm(state.slope) > tolerance * first) & (state.iteration < iterations) & ~state.stuck

    def step(state: _State) -> _State:
        _, curvature = jax.linearize(jax.grad(function), state.x)
        steepness = _norm(state.slope)
        # Far from the minimum a rough solution of the linear system serves as well as an exact one.
        enough = jnp.minimum(0.1, jnp.sqrt(steepness / first)) * steepness
        direction = _solve(curvature, -state.slope, enough, products)
        along = jnp.vdot(state.slope, direction)
        noise = 4 * jnp.finfo(state.value.dtype).eps * jnp.abs(state.value)

        def too_far(length: Array) -> Array:
            bound = state.value + 1e-4 * length * along + noise
            return (function(state.x + length * direction) > bound) & (length > 1e-6)

        length = lax.while_loop(too_far, lambda length: length / 2, jnp.ones((), state.value.dtype))
        x = state.x + length * direction
        value, slope = value_and_slope(x)
        worse = (value >= state.value) & (_norm(slope) >= steepness)
        kept = _State(x, value, slope, state.iteration + 1, jnp.array(False))
        return jax.tree.map(lambda old, new: jnp.where(worse, old, new), state._replace(stuck=jnp.array(True)), kept)

    last = lax.while_loop(unfinished, step, _State(start, value, slope, jnp.array(0, jnp.int32), jnp.array(False)))
    return Minimum(last.x, last.value, _norm(last.slope), last.iteration)


def _solve(
    product: Callable[[Array], Array], goal: Float[Array, "..."], enough: Float[Array, ""], products: int
) -> Float[Array, "..."]:
    """x with |product(x) - goal| <= enough, by at most `products` products with a positive definite matrix."""

    def unfinished(state: _Solving) -> Array:
        return (jnp.sqrt(state[3]) > enough) & (state[4] < products)

    def step(state: _Solving) -> _Solving:
        x, rest, direction, size, count = state
        image = product(direction)
        length = size / jnp.vdot(direction, image)
        x, rest = x + length * direction, rest - length * image
        smaller = jnp.vdot(rest, rest)
        return x, rest, rest + smaller / size * direction, smaller, count + 1

    begin = (jnp.zeros_like(goal), goal, goal, jnp.vdot(goal, goal), jnp.array(0, jnp.int32))
    return lax.while_loop(unfinished, step, begin)[0]


def _norm(x: Float[Array, "..."]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.vdot(x, x))
