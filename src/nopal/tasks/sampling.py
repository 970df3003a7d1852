"""Draws without replacement whose population size is known only inside the compiled program."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray


def draw_without_replacement(key: PRNGKeyArray, draws: int, population: Int[Array, ""] | int) -> Int[Array, "draws"]:
    """`draws` different numbers below `population`, in random order; `population` must be at least `draws`.

    A sparse Fisher-Yates shuffle: only the places that were swapped are remembered, so the cost is draws^2, whatever
    the population.
    """
    chosen = jax.random.randint(key, (draws,), jnp.arange(draws), population)

    def draw(i: Int[Array, ""], written: tuple[Array, Array]) -> tuple[Array, Array]:
        # `result[j]` is what place chosen[j] gave away at draw j; the place then took what place j held.
        result, moved = written
        before = jnp.arange(draws) < i

        def held(place: Array) -> Array:
            last = jnp.max(jnp.where(before & (chosen == place), jnp.arange(draws), -1))
            return jnp.where(last < 0, place, moved[last])

        value = held(chosen[i])
        return result.at[i].set(value), moved.at[i].set(held(i))

    zeros = jnp.zeros(draws, chosen.dtype)
    return jax.lax.fori_loop(0, draws, draw, (zeros, zeros))[0]
