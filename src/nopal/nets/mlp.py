"""A multilayer perceptron, such as the 40-40-1 network of the sinusoids (Finn, Abbeel, Levine 2017,
arXiv 1703.03400)."""

from __future__ import annotations

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nopal.errors import NopalError
from nopal.nets.linear import Linear
from nopal.nets.network import Network, check_inputs
from nopal.nets.normalisation import Moments


class MLP(Network):
    """Linear layers with ReLU between them; it normalises nothing, so its statistics are an empty tuple."""

    layers: tuple[Linear, ...]
    shape: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: tuple[int, ...] = (40, 40),
        deviation: float | None = None,
        key: PRNGKeyArray,
    ):
        """Kernels are drawn Glorot-uniform, or normal with the standard `deviation`; biases begin at 0.

        Raises `NopalError` for a width that is not positive.
        """
        widths = (inputs, *hidden, outputs)
        if min(widths) < 1:
            raise NopalError(f"The widths of the layers are {widths}; expected at least 1 each.")
        initial = jax.nn.initializers.glorot_uniform() if deviation is None else jax.nn.initializers.normal(deviation)
        keys = jax.random.split(key, len(widths) - 1)
        sizes = itertools.pairwise(widths)
        self.layers = tuple(Linear(initial(k, size), jnp.zeros(size[1])) for k, size in zip(keys, sizes))
        self.shape = (inputs,)

    def __call__(
        self, x: Float[Array, "m ..."], statistics: tuple[Moments, ...] | None = None
    ) -> tuple[Float[Array, "m outputs"], tuple[Moments, ...]]:
        """Raises `NopalError` for inputs of another width."""
        check_inputs(x, self.shape)
        *hidden, last = self.layers
        for layer in hidden:
            x = jax.nn.relu(layer(x))
        return last(x), ()
