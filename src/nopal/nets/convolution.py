"""Convolution and pooling in the form that the backend runs fastest.

On a CPU XLA's own convolution is fast forwards, but its gradient is slow inside compiled loops and with one kernel per task; nine
shifted copies of the image times a matrix are fast everywhere there. Elsewhere `lax.conv` is used.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float


def convolve(
    x: Float[Array, "m h w c"], kernel: Float[Array, "a b c f"], *, stride: int = 1
) -> Float[Array, "m h2 w2 f"]:
    """Convolution with zero padding ("SAME": the output has ceil(h / stride) x ceil(w / stride) places)."""
    if jax.default_backend() == "cpu":
        return _convolve_by_patches(x, kernel, stride)
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _convolve_by_patches(x: Array, kernel: Array, stride: int) -> Array:
    m, _, _, c = x.shape
    a, b, _, f = kernel.shape
    (top, bottom), (left, right) = lax.padtype_to_pads(x.shape[1:3], (a, b), (stride, stride), "SAME")
    x = jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    height, width = (x.shape[1] - a) // stride + 1, (x.shape[2] - b) // stride + 1
    patches = [
        x[:, i : i + (height - 1) * stride + 1 : stride, j : j + (width - 1) * stride + 1 : stride]
        for i in range(a)
        for j in range(b)
    ]
    rows = jnp.concatenate(patches, axis=3).reshape(m * height * width, a * b * c)
    return (rows @ kernel.reshape(a * b * c, f)).reshape(m, height, width, f)


def max_pool(x: Float[Array, "m h w c"]) -> Float[Array, "m h//2 w//2 c"]:
    """The largest of each 2 x 2 square; an odd last row or column is left out.

    Written as three maxima: XLA's window reduction has a slow gradient on a CPU.
    """
    x = x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2]
    rows = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])
