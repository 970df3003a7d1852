"""Weights as independent normal distributions (Blundell et al. 2015, arXiv 1505.05424)."""

from __future__ import annotations

import math
from typing import Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from nopal.errors import NopalError
from nopal.nets.network import Network
from nopal.nets.parameters import check_patterns, split_parameters
from nopal.nets.stochastic import Certain, Stochastic, features_of

T = TypeVar("T", bound=eqx.Module)


class MeanField(eqx.Module, Generic[T]):
    """A module of any kind whose kernels are drawn from N(mean, scale^2), one scale for each weight.

    Both are learned; the scale is a softplus. Parameters that no pattern of `random` names, such as biases, are
    certain. The prior of every kernel's weight is N(0, 1).
    """

    mean: T
    rho: PyTree[Float[Array, "..."]]
    random: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, module: T, *, scale: float = 0.05, random: tuple[str, ...] = ("*kernel",)):
        """All scales begin at `scale` (the authors of meta-regularisation drew their softplus' inverses from a normal
        distribution around one value, with the standard deviation .1). Raises `NopalError` where it is not positive and
        finite, and for a pattern that names nothing."""
        if not 0 < scale < float("inf"):
            raise NopalError(f"The scale of the weights is {scale}; expected a number above 0, for instance 0.05.")
        check_patterns(module, random)
        kernels, _ = split_parameters(module, random)
        self.mean, self.random = module, tuple(random)
        # The inverse of the softplus, in which no number overflows.
        rho = scale + math.log(-math.expm1(-scale))
        self.rho = jax.tree.map(lambda w: jnp.full(w.shape, rho, w.dtype), kernels)

    @property
    def scale(self) -> PyTree[Float[Array, "..."]]:
        """Standard deviations; never quite 0, so that the divergence stays finite (and so that those which begin far
        below a float's precision hardly move, as published)."""
        return jax.tree.map(lambda rho: jax.nn.softplus(rho) + jnp.finfo(rho.dtype).eps, self.rho)

    def sample(self, key: PRNGKeyArray) -> T:
        """The module with weights drawn by reparameterisation."""
        kernels, rest = split_parameters(self.mean, self.random)
        leaves, structure = jax.tree.flatten(kernels)
        keys = jax.tree.unflatten(structure, list(jax.random.split(key, len(leaves))))
        drawn = jax.tree.map(lambda w, s, k: w + s * jax.random.normal(k, w.shape, w.dtype), kernels, self.scale, keys)
        return eqx.combine(drawn, rest)

    @property
    def kl(self) -> Float[Array, ""]:
        """KL(q || N(0, 1)), summed over all weights."""
        kernels, _ = split_parameters(self.mean, self.random)
        of_leaf = jax.tree.map(lambda w, s: jnp.sum(0.5 * (s**2 + w**2 - 1) - jnp.log(s)), kernels, self.scale)
        return sum(jax.tree.leaves(of_leaf), jnp.zeros(()))


class RandomWeights(Stochastic):
    """A network with noise in its weights."""

    weights: MeanField[Network]

    def __check_init__(self) -> None:
        """Raises `NopalError` where the network normalises by its batch."""
        features_of(self.weights.mean)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.weights.mean.shape

    def draw(self, key: PRNGKeyArray) -> Certain:
        return Certain(self.weights.sample(key), self.kl)

    def expected(self) -> Certain:
        return Certain(self.weights.mean, self.kl)

    @property
    def kl(self) -> Float[Array, ""]:
        return self.weights.kl

    def encode(self, x: Float[Array, "m ..."], key: PRNGKeyArray) -> tuple[Float[Array, "m d"], Float[Array, "m"]]:
        """Weights are drawn anew for each call."""
        return self.draw(key).encode(x, key)
