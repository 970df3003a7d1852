"""A place in a shuffled sequence without shuffling it: Luby and Rackoff (1988), permutations from random functions."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray


def shuffled(key: PRNGKeyArray, places: Int[Array, "m"], n: int) -> Int[Array, "m"]:
    """What stands at some `places` of the numbers 0 to n - 1 in an order that `key` decides.

    A number is a pair of digits to the base of the root of n, rounded up. Eight times one digit is shifted by a random
    function of the other, which can be undone; what comes out above n - 1 goes through again. The cost is that of
    `places` and of the root of n.
    """
    side = math.isqrt(max(n - 1, 0)) + 1
    shifts = jax.random.randint(key, (8, side), 0, side, places.dtype)

    def once(x: Int[Array, "m"]) -> Int[Array, "m"]:
        left, right = jnp.divmod(x, side)
        for shift in shifts:
            left, right = right, (left + shift[right]) % side
        return left * side + right

    return jax.lax.while_loop(lambda x: (x >= n).any(), lambda x: jnp.where(x >= n, once(x), x), once(places))


def epoch_rows(key: PRNGKeyArray, step: Int[Array, ""], images: int, batch: int) -> Int[Array, "batch"]:
    """The rows of a step (counted from 0): an epoch takes each image once, in an order of its own, but for the few that
    make no whole batch; of fewer images than a batch each comes about as often."""
    epoch, number = jnp.divmod(step, max(images // batch, 1))
    places = (number * batch + jnp.arange(batch)) % images
    return shuffled(jax.random.fold_in(key, epoch), places, images)
