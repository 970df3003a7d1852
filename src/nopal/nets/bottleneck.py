"""Activations as independent normal distributions: an information bottleneck between inputs and predictor (Alemi et al.
2017, arXiv 1612.00410; as meta-regularisation Yin et al. 2020, arXiv 1912.03820)."""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nopal.errors import NopalError, check_choice
from nopal.nets.network import Network
from nopal.nets.stochastic import Stochastic, features_of

OverDimensions = Literal["sum", "mean"]


class Bottleneck(Stochastic):
    """Features drawn from N(mean, scale^2); the first half of the network's outputs are means, the softplus of the
    other half is the scale. Each example's noise is its own.

    `over_dimensions="mean"` divides the divergence by the number of features, as the authors' sinusoid notebook does.
    """

    network: Network
    over_dimensions: OverDimensions = eqx.field(static=True, default="sum")
    noisy: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        """Raises `NopalError` where the network normalises by its batch, and where its outputs can't be halved."""
        check_choice("over_dimensions", self.over_dimensions, OverDimensions)
        outputs = features_of(self.network)
        if outputs % 2:
            raise NopalError(
                f"The network under a bottleneck has {outputs} outputs; expected an even number, a mean and a scale "
                "for each feature."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.network.shape

    def expected(self) -> Bottleneck:
        return Bottleneck(self.network, self.over_dimensions, noisy=False)

    def encode(self, x: Float[Array, "m ..."], key: PRNGKeyArray) -> tuple[Float[Array, "m d"], Float[Array, "m"]]:
        mean, raw = jnp.split(self.network(x)[0], 2, axis=1)
        scale = jax.nn.softplus(raw) + jnp.finfo(raw.dtype).eps
        divergence = 0.5 * (scale**2 + mean**2 - 1) - jnp.log(scale)
        kl = divergence.sum(1) if self.over_dimensions == "sum" else divergence.mean(1)
        return (mean + scale * jax.random.normal(key, mean.shape, mean.dtype) if self.noisy else mean), kl
