"""Maps at half and at twice the size: average pooling, nearest-neighbour upsampling, and a convolution behind it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from nopal.nets.convolution import convolve


@jax.custom_vjp
def average_pool(x: Float[Array, "m h w c"]) -> Float[Array, "m h//2 w//2 c"]:
    """The mean of each 2 x 2 square; height and width are even. It has gradients and their jvp."""
    return 0.25 * (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2])


average_pool.defvjp(lambda x: (average_pool(x), None), lambda _, slope: (0.25 * upsample(slope),))


def upsample(x: Float[Array, "m h w c"]) -> Float[Array, "m 2*h 2*w c"]:
    """Every place becomes a 2 x 2 square."""
    m, h, w, c = x.shape
    return jnp.broadcast_to(x[:, :, None, :, None], (m, h, 2, w, 2, c)).reshape(m, 2 * h, 2 * w, c)


def convolve_upsampled(x: Float[Array, "m h w c"], kernel: Float[Array, "3 3 c f"]) -> Float[Array, "m 2*h 2*w f"]:
    """`convolve(upsample(x), kernel)` with less work, where that pays: on a CPU, for maps with few channels."""
    if jax.default_backend() != "cpu" or x.shape[3] > 32:
        return convolve(upsample(x), kernel)
    # Of the nine places under the kernel, four are copies of one place, or two of another: their weights are added.
    wide = jnp.einsum("rA,tqB,ABcf->tcqrf", _ROWS, _COLUMNS, kernel)
    return _four_phases(x, wide.reshape(2 * kernel.shape[2], -1))


# Which rows of a kernel fall on one row of the small map, for both rows that a small one becomes: (first row: the small
# row before, its own; second row: its own, the one behind). And which columns, for both places of a window of two.
_ROWS = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 1]], np.float32)
_COLUMNS = np.array([[[1, 0, 0], [1, 1, 0]], [[0, 1, 1], [0, 0, 1]]], np.float32)
Saved = tuple[Array, Array, Array]


@jax.custom_vjp
def _four_phases(x: Array, wide: Array) -> Array:
    return _forward(x, wide)[0]


def _forward(x: Array, wide: Array) -> tuple[Array, Saved]:
    m, h, w, c = x.shape
    f = wide.shape[1] // 8
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    windows = jnp.concatenate([padded[:, :, :-1], padded[:, :, 1:]], 3).reshape(-1, 2 * c)
    products = (windows @ wide).reshape(m, h + 2, w + 1, 2, 4, f)

    def phase(row: int, column: int) -> Array:
        part = products[:, :, column : column + w, column]
        return part[:, row : row + h, :, 2 * row] + part[:, row + 1 : row + 1 + h, :, 2 * row + 1]

    rows = [jnp.stack([phase(row, 0), phase(row, 1)], 3) for row in (0, 1)]
    return jnp.stack(rows, 2).reshape(m, 2 * h, 2 * w, f), (windows, x, wide)


def _backward(saved: Saved, slope: Array) -> tuple[Array, Array]:
    windows, x, wide = saved
    m, h, w, c = x.shape
    phases = slope.reshape(m, h, 2, w, 2, -1)
    parts = [
        jnp.pad(phases[:, :, row, :, column], ((0, 0), (row + i, 2 - row - i), (column, 1 - column), (0, 0)))
        for column in (0, 1)
        for row in (0, 1)
        for i in (0, 1)
    ]
    products = jnp.concatenate(parts, 3).reshape(-1, wide.shape[1])
    along = (products @ wide.T).reshape(m, h + 2, w + 1, 2, c)[:, 1 : h + 1]
    return along[:, :, 1:, 0] + along[:, :, :-1, 1], windows.T @ products


_four_phases.defvjp(_forward, _backward)
