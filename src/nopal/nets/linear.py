"""The layer that every network ends in."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.lax import optimization_barrier
from jaxtyping import Array, Float


class Linear(eqx.Module):
    """x @ kernel + bias. On a CPU it has gradients and their directional derivatives (jvp of grad), but no jvp of its
    own."""

    kernel: Float[Array, "d e"]
    bias: Float[Array, "e"]

    def __call__(self, x: Float[Array, "m d"]) -> Float[Array, "m e"]:
        if jax.default_backend() != "cpu":
            return x @ self.kernel + self.bias
        precision = jnp.result_type(x, self.kernel)
        return _product(x.astype(precision), self.kernel.astype(precision)) + self.bias


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return x @ kernel, (x, kernel)


def _backward(saved: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
    x, kernel = saved
    # A product that contracts the rows of both is slow, above all with one for each task: the narrower matrix is
    # transposed before.
    along_kernel = _transposed(x) @ slope if x.shape[1] <= slope.shape[1] else (_transposed(slope) @ x).T
    return slope @ kernel.T, along_kernel


def _transposed(matrix: Array) -> Array:
    # Without a barrier XLA would make it part of the product again. Of a matrix a barrier keeps the order in memory,
    # too, which a product of several tasks cannot take (XLA of jax 0.10 aborts the process): hence the vector.
    return optimization_barrier(matrix.T.reshape(-1)).reshape(matrix.shape[::-1])


_product = jax.custom_vjp(lambda x, kernel: _forward(x, kernel)[0])
_product.defvjp(_forward, _backward)
