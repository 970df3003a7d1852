"""Ridge regression that says how sure it is of an angle, by its errors on left-out support examples."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from nopal.errors import NopalError
from nopal.learners.ridge import RidgeLearner
from nopal.nets.network import Network
from nopal.nets.normalisation import Statistics
from nopal.tasks.circle import VonMises
from nopal.tasks.episode import Examples


class AngularRidge(RidgeLearner):
    """Ridge regression with an intercept on the (sin, cos) of once, twice, ... the angle, which predicts distributions.

    Were such a pair the right one plus normal errors, it would be worth its value over their variance, as a parameter
    of `VonMises`. So each is multiplied by `gain` over the mean squared error of that wave in this support set, where
    each example is predicted from the others, plus `floor`: an object that looks the same after half a turn has large
    errors in the angle and small ones in twice the angle, and is predicted to be here or opposite. Gain and floor are
    meta-trained for each wave.

    The intercept is not penalised. Without one embeddings grow a huge component that all inputs share and that does
    its work, until the system of equations is singular in float32. Inside of `Mirrored` an example that is left out
    leaves its mirror image behind; of trained learners such errors were as near to those of queries as without it.
    """

    log_floor: Float[Array, "order"]

    def __init__(
        self,
        network: Network,
        target: VonMises,
        *,
        penalty: float = 0.1,
        floor: float = 0.05,
        statistics: Statistics = "support",
    ):
        """Raises `NopalError` for a penalty or a floor that is not positive."""
        if not floor > 0:
            raise NopalError(f"The floor below errors on left-out examples is {floor}; expected a number above 0.")
        gain = jnp.ones(target.order)
        super().__init__(network, target.width, gain=gain, penalty=penalty, statistics=statistics)
        self.log_floor = jnp.full(target.order, math.log(floor))

    def fit(self, embedded: Float[Array, "m d"], support: Examples) -> Affine:
        """Raises `NopalError` for other tasks than those that it was made for."""
        target, order = support.target, len(self.log_gain)
        if not isinstance(target, VonMises) or target.order != order:
            raise NopalError(f"This learner is for distributions of {order} terms, but the task predicts {target}.")
        fitted, errors = with_intercept(embedded, target.encode(support.y), jnp.exp(self.log_penalty))
        variance = jnp.mean(errors.reshape(len(errors), -1, 2) ** 2, axis=(0, 2))
        worth = jnp.repeat(jnp.exp(self.log_gain) / (variance + jnp.exp(self.log_floor)), 2)
        return Affine(fitted.centre, fitted.weights * worth, fitted.level * worth)


class Affine(eqx.Module):
    """Embeddings -> parameters of the target: `level` at the `centre` of the support set."""

    centre: Float[Array, "d"]
    weights: Float[Array, "d parameters"]
    level: Float[Array, "parameters"]

    def __call__(self, embedded: Float[Array, "m d"]) -> Float[Array, "m parameters"]:
        return (embedded - self.centre) @ self.weights + self.level


def with_intercept(
    x: Float[Array, "m d"], y: Float[Array, "m k"], penalty: Float[Array, ""] | float
) -> tuple[Affine, Float[Array, "m k"]]:
    """The w and b that minimise |x w + b - y|^2 + penalty d |w|^2, and y less what is predicted of each example from
    all the others, with a penalty of the same size (Allen 1974, Technometrics 16).

    That error is `coefficients / own`, no difference of nearly equal numbers. A single example, of which nothing is
    known without it, has the error of a prediction of 0.
    """
    m, d = x.shape
    centre, level = x.mean(0), y.mean(0)
    away, ridge = x - centre, penalty * d
    gram = away @ away.T
    # Centred examples sum to 0. What they can't reach gets an eigenvalue as large as any, so that it can be taken from
    # the inverse again without loss.
    free = jnp.trace(gram) + ridge
    system = gram + ridge * jnp.eye(m) + free / m
    solved = jax.scipy.linalg.solve(system, jnp.concatenate([y - level, jnp.eye(m)], axis=1), assume_a="pos")
    coefficients, inverse = jnp.split(solved, [y.shape[1]], axis=1)
    own = jnp.diagonal(inverse) - 1 / (m * (ridge + free))
    return Affine(centre, away.T @ coefficients, level), y if m == 1 else coefficients / own[:, None]
