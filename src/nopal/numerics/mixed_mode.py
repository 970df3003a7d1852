"""Gradients whose own derivative is taken forward over reverse.

Differentiating an inner loop needs, for every inner step, the Hessian of the inner loss times a vector. Reverse over
reverse stores and replays the whole graph of the gradient; because a Hessian is symmetric, the same product is one
directional derivative of the gradient, which needs no more memory than the gradient itself (Kemaev et al. 2025,
MixFlow-MG, arXiv 2505.00793).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, PyTree

Loss = Callable[[PyTree, PyTree], Float[Array, ""]]


def mixed_mode_gradient(loss: Loss) -> Callable[[PyTree, PyTree], PyTree]:
    """The function (a, b) -> d loss(a, b) / da; pytrees of arrays; can be differentiated once, in `a` and in the floats
    of `b`."""

    @jax.custom_vjp
    def gradient(a: PyTree, b: PyTree, rest: PyTree) -> PyTree:
        return jax.grad(lambda a: loss(a, eqx.combine(b, rest)))(a)

    def forward(a: PyTree, b: PyTree, rest: PyTree) -> tuple[PyTree, Any]:
        return gradient(a, b, rest), (a, b, rest)

    def backward(saved: Any, direction: PyTree) -> tuple[PyTree, PyTree, None]:
        a, b, rest = saved
        both = jax.grad(lambda a, b: loss(a, eqx.combine(b, rest)), argnums=(0, 1))
        _, (along_a, along_b) = jax.jvp(lambda a: both(a, b), (a,), (direction,))
        return along_a, along_b, None

    gradient.defvjp(forward, backward)

    return lambda a, b: gradient(a, *eqx.partition(b, eqx.is_inexact_array))
