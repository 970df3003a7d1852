"""Convolution of maps with few channels, as a product of matrices.

Copies of the map shifted along its width stand side by side; shifts along its height are left to the products, which
are added up in place. That is a third of the copies that patches need, and a product three times as wide.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Saved = tuple[Array, Array, Array]


@jax.custom_vjp
def convolve_by_columns(x: Float[Array, "m h w c"], kernel: Float[Array, "a b c f"]) -> Float[Array, "m h w f"]:
    """Convolution with zero padding and stride 1; it has gradients and their jvp, but no jvp of its own."""
    return _forward(x, kernel)[0]


def _forward(x: Array, kernel: Array) -> tuple[Array, Saved]:
    a, b, c, f = kernel.shape
    m, h, w, _ = x.shape
    top, left = (a - 1) // 2, (b - 1) // 2
    padded = jnp.pad(x, ((0, 0), (top, a - 1 - top), (left, b - 1 - left), (0, 0)))
    columns = jnp.concatenate([padded[:, :, j : j + w] for j in range(b)], 3).reshape(-1, b * c)
    products = (columns @ _widened(kernel)).reshape(m, h + a - 1, w, a, f)
    return _total([products[:, i : i + h, :, i] for i in range(a)]), (columns, x, kernel)


def _backward(saved: Saved, slope: Array) -> tuple[Array, Array]:
    columns, x, kernel = saved
    a, b, c, f = kernel.shape
    m, h, w, _ = x.shape
    top, left = (a - 1) // 2, (b - 1) // 2
    padded = jnp.pad(slope, ((0, 0), (a - 1, a - 1), (0, 0), (0, 0)))
    products = jnp.concatenate([padded[:, a - 1 - i : 2 * a - 2 - i + h] for i in range(a)], 3).reshape(-1, a * f)
    along_kernel = (columns.T @ products).reshape(b, c, a, f).transpose(2, 0, 1, 3)
    along_columns = (products @ _widened(kernel).T).reshape(m, h + a - 1, w, b, c)[:, top : top + h]
    padded = jnp.pad(along_columns, ((0, 0), (0, 0), (b - 1 - left, left), (0, 0), (0, 0)))
    return _total([padded[:, :, b - 1 - j : b - 1 - j + w, j] for j in range(b)]), along_kernel


def _total(parts: list[Array]) -> Array:
    return sum(parts[1:], parts[0])


def _widened(kernel: Array) -> Array:
    a, b, c, f = kernel.shape
    return kernel.transpose(1, 2, 0, 3).reshape(b * c, a * f)


convolve_by_columns.defvjp(_forward, _backward)
