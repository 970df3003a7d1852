"""Ridge regression on a meta-trained embedding (Bertinetto, Henriques, Torr, Vedaldi 2019, arXiv 1805.08136, R2-D2).

What predicts is made of the support set and nothing else, so that a memorised answer has no place to stay: swap two
labels of the support set, or turn its circle, and the predictions follow."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Shaped

from nopal.errors import NopalError
from nopal.learners.closed_form import ClosedFormLearner, Head
from nopal.nets.network import Network
from nopal.nets.normalisation import Moments, Statistics
from nopal.tasks.circle import VonMises
from nopal.tasks.episode import Examples
from nopal.tasks.target import Categorical, Target


class RidgeLearner(ClosedFormLearner):
    """What learners by ridge regression have in common: a network, and a penalty and gains meta-trained with it."""

    network: Network
    log_penalty: Float[Array, ""]
    log_gain: Float[Array, "..."]
    running: tuple[Moments, ...] | None
    outputs: int = eqx.field(static=True)
    query_statistics: Statistics = eqx.field(static=True)

    def __init__(
        self, network: Network, outputs: int, *, gain: Float[Array, "..."], penalty: float, statistics: Statistics
    ):
        if not penalty > 0:
            raise NopalError(f"The penalty of ridge regression is {penalty}; expected a number above 0.")
        self.network, self.running, self.outputs, self.query_statistics = network, None, outputs, statistics
        self.log_penalty, self.log_gain = jnp.array(math.log(penalty)), jnp.log(gain)

    def unfitted(self) -> Zeros:
        return Zeros(self.outputs)


class Ridge(RidgeLearner):
    """The weights W that minimise |Z W - Y|^2 + penalty d |W|^2, for support embeddings Z [m, d] and labels Y as their
    target encodes them (one-hot for classes); predictions are `gain` times z W.

    The penalty and the gain are meta-trained with the network. Published: a network without a last linear layer, and
    a bias beside the gain, which one number for all classes leaves without effect.
    """

    def __init__(self, network: Network, target: Target, *, penalty: float = 0.1, statistics: Statistics = "support"):
        """Raises `NopalError` for a penalty that is not positive, and distributions as target."""
        if isinstance(target, VonMises):
            raise NopalError("Ridge regression does not know how sure it is; distributions are for AngularRidge.")
        # One-hot labels are fitted by numbers from 0 to 1, far too near each other for logits.
        gain = jnp.array(10.0 if isinstance(target, Categorical) else 1.0)
        super().__init__(network, target.width, gain=gain, penalty=penalty, statistics=statistics)

    def fit(self, embedded: Float[Array, "m d"], support: Examples) -> Head:
        labels = support.target.encode(support.y)
        return Weights(ridge(embedded, labels, jnp.exp(self.log_penalty)) * jnp.exp(self.log_gain))


class Weights(eqx.Module):
    """Embeddings -> parameters of the target."""

    weights: Float[Array, "d parameters"]

    def __call__(self, embedded: Float[Array, "m d"]) -> Float[Array, "m parameters"]:
        return embedded @ self.weights


class Zeros(eqx.Module):
    """What ridge regression predicts that saw no example."""

    outputs: int = eqx.field(static=True)

    def __call__(self, x: Shaped[Array, "m ..."]) -> Float[Array, "m parameters"]:
        return jnp.zeros((len(x), self.outputs))


def ridge(x: Float[Array, "m d"], y: Float[Array, "m k"], penalty: Float[Array, ""] | float) -> Float[Array, "d k"]:
    """The weights that minimise |x w - y|^2 + penalty d |w|^2, from a system of min(m, d) equations."""
    m, d = x.shape
    if m < d:
        kernel = x @ x.T + penalty * d * jnp.eye(m)
        return x.T @ jax.scipy.linalg.solve(kernel, y, assume_a="pos")
    return jax.scipy.linalg.solve(x.T @ x + penalty * d * jnp.eye(d), x.T @ y, assume_a="pos")
