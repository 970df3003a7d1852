"""What a learner asks of a network."""

from __future__ import annotations

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from nopal.errors import NopalError
from nopal.nets.normalisation import Moments


class Network(eqx.Module):
    """Called on a batch of inputs of one `shape`, it returns outputs and the normalisation statistics that it used.

    Given statistics of an earlier call, it normalises by those, so that one batch's outputs don't depend on the others.
    """

    shape: eqx.AbstractVar[tuple[int, ...]]

    @abstractmethod
    def __call__(
        self, x: Float[Array, "m ..."], statistics: tuple[Moments, ...] | None = None
    ) -> tuple[Float[Array, "m outputs"], tuple[Moments, ...]]: ...


def outputs_and_moments(network: Network) -> tuple[int, int]:
    """How many outputs a network has, and how many layers that normalise; nothing is computed."""
    blank = jax.ShapeDtypeStruct((2, *network.shape), jnp.float32)
    outputs, moments = eqx.filter_eval_shape(lambda network, x: network(x), network, blank)
    return outputs.shape[1], len(moments)


def check_inputs(x: Shaped[Array, "m ..."], shape: tuple[int, ...]) -> None:
    """Raises `NopalError` for inputs of another shape than that of one input."""
    if x.shape[1:] != shape:
        found, expected = (" x ".join(map(str, of)) or "a number" for of in (x.shape[1:], shape))
        raise NopalError(
            f"One input is {found}, but this network was made for {expected}; give inputs like those it was made for."
        )
