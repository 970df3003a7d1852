"""The layer that every network ends in."""

from __future__ import annotations

import equinox as eqx
from jaxtyping import Array, Float


class Linear(eqx.Module):
    """x @ kernel + bias."""

    kernel: Float[Array, "d e"]
    bias: Float[Array, "e"]

    def __call__(self, x: Float[Array, "m d"]) -> Float[Array, "m e"]:
        return x @ self.kernel + self.bias
