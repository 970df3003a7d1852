"""Networks with noise in them, and how much they could carry: what meta-regularisation limits (Yin et al. 2020,
arXiv 1912.03820)."""

from __future__ import annotations

from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from nopal.errors import NopalError
from nopal.nets.network import Network, outputs_and_moments


class Stochastic(eqx.Module):
    """From inputs to features, with noise in the weights (`RandomWeights`), in the activations (`Bottleneck`) or
    nowhere (`Certain`).

    Kullback-Leibler divergences, in nats, are those from the standard normal distribution: of the weights once, of the
    activations for each example.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of one input."""

    def draw(self, key: PRNGKeyArray) -> Stochastic:
        """This network with its weights drawn once for all calls to come; their divergence stays the distribution's."""
        return self

    def expected(self) -> Stochastic:
        """This network with the means in place of draws."""
        return self

    @property
    def kl(self) -> Float[Array, ""]:
        """Divergence of the weights."""
        return jnp.zeros(())

    @abstractmethod
    def encode(self, x: Float[Array, "m ..."], key: PRNGKeyArray) -> tuple[Float[Array, "m d"], Float[Array, "m"]]:
        """Features, and the divergence of each example's."""


class Certain(Stochastic):
    """A network without noise: as it is, or drawn from a distribution whose divergence it keeps."""

    network: Network
    divergence: Float[Array, ""] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return self.network.shape

    @property
    def kl(self) -> Float[Array, ""]:
        return jnp.zeros(()) if self.divergence is None else self.divergence

    def encode(self, x: Float[Array, "m ..."], key: PRNGKeyArray) -> tuple[Float[Array, "m d"], Float[Array, "m"]]:
        features = self.network(x)[0]
        return features.reshape(len(x), -1), jnp.zeros(len(x))


def features_of(network: Network) -> int:
    """How many features it makes; raises `NopalError` where it normalises, for nobody keeps its statistics here."""
    outputs, moments = outputs_and_moments(network)
    if moments:
        raise NopalError(
            f"The encoder, {type(network).__name__}, normalises by its batch, so features would depend on the other "
            "inputs; use one that normalises nothing, such as ConvEncoder or MLP."
        )
    return outputs
