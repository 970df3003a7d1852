"""Ridge regression that says how sure it is of an angle, by its errors on left-out support examples."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from nopal.errors import NopalError
from nopal.learners.ridge import Ridge, Weights, left_out_errors, ridge
from nopal.nets.network import Network
from nopal.nets.normalisation import Statistics
from nopal.tasks.circle import VonMises
from nopal.tasks.episode import Examples


class AngularRidge(Ridge):
    """`Ridge` on the (sin, cos) of once, twice, ... the angle, whose predictions are distributions.

    Were such a pair the right one plus normal errors, it would be worth its value over their variance, as a parameter
    of `VonMises`. So each is multiplied by `gain` over the mean squared error of that wave in this support set, where
    each example is predicted from the others, plus `floor`: an object that looks the same after half a turn has large
    errors in the angle and small ones in twice the angle, and is predicted to be here or opposite. Gain and floor are
    meta-trained for each wave.
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
        super().__init__(network, target, penalty=penalty, statistics=statistics)
        self.log_gain, self.log_floor = jnp.zeros(target.order), jnp.full(target.order, math.log(floor))

    def fit(self, embedded: Float[Array, "m d"], support: Examples) -> Weights:
        labels, penalty = support.target.encode(support.y), jnp.exp(self.log_penalty)
        errors = left_out_errors(embedded, labels, penalty)
        variance = jnp.mean(errors.reshape(len(errors), -1, 2) ** 2, axis=(0, 2))
        worth = jnp.exp(self.log_gain) / (variance + jnp.exp(self.log_floor))
        return Weights(ridge(embedded, labels, penalty) * jnp.repeat(worth, 2))
