"""Convolution and pooling in the form that the backend runs fastest, gradients included.

On a CPU XLA's own convolution is fast forwards, but its derivatives by input and kernel are slow inside compiled loops
and with one kernel per task. So a stride of 1 has its gradient written as a forward convolution and a matrix product,
or is all products where channels are few (`columns.py`), and larger strides are shifted copies of the image times a
matrix. Elsewhere `lax.conv` is used.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from nopal.mapping import bytes_written
from nopal.nets.columns import convolve_by_columns

CACHE = 2**21
"""Bytes that a core keeps close, about."""

Pads = tuple[tuple[int, int], tuple[int, int]]


def convolve(
    x: Float[Array, "m h w c"], kernel: Float[Array, "a b c f"], *, stride: int = 1
) -> Float[Array, "m h2 w2 f"]:
    """Convolution with zero padding ("SAME": the output has ceil(h / stride) x ceil(w / stride) places).

    On a CPU it has gradients and their directional derivatives (jvp of grad), but no jvp of its own.
    """
    (top, bottom), (left, right) = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], (stride, stride), "SAME")
    pads = (top, bottom), (left, right)
    if jax.default_backend() != "cpu":
        return _convolve_natively(x, kernel, pads, stride)
    if stride > 1:
        return _convolve_by_patches(x, kernel, pads, stride)
    return convolve_by_columns(x, kernel) if _thin(kernel) else _convolve_densely(x, kernel)


def _thin(kernel: Array) -> bool:
    """Whether there are so few channels that copying costs more than multiplying, but not so few beside the features
    that products for each row of the kernel, three times as wide as these, cost more than the copies they save."""
    channels, features = kernel.shape[2:]
    return 2 <= channels <= 16 and features <= min(32, 8 * channels)


def _convolve_natively(x: Array, kernel: Array, pads: Pads, stride: int = 1) -> Array:
    return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _by_patches_forward(x: Array, kernel: Array, pads: Pads, stride: int = 1) -> tuple[Array, tuple[Array, Array]]:
    a, b, c, f = kernel.shape
    patches = _patches(x, (a, b), pads, stride)
    outputs = patches.reshape(-1, a * b * c) @ kernel.reshape(a * b * c, f)
    return outputs.reshape(*patches.shape[:3], f), (x, kernel)


def _by_patches_backward(pads: Pads, stride: int, saved: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
    x, kernel = saved
    a, b, c, f = kernel.shape
    patches, pull = jax.vjp(lambda x: _patches(x, (a, b), pads, stride), x)
    rows, slope = patches.reshape(-1, a * b * c), slope.reshape(-1, f)
    along_x = pull((slope @ kernel.reshape(a * b * c, f).T).reshape(patches.shape))[0]
    # The narrower matrix is cheaper to transpose; without the barrier XLA would choose the other one again.
    along_kernel = rows.T @ slope if a * b * c <= f else lax.optimization_barrier(slope.T @ rows).T
    return along_x, along_kernel.reshape(kernel.shape)


_convolve_by_patches = jax.custom_vjp(lambda *arguments: _by_patches_forward(*arguments)[0], nondiff_argnums=(2, 3))
_convolve_by_patches.defvjp(_by_patches_forward, _by_patches_backward)


def _patches(x: Array, size: tuple[int, int], pads: Pads, stride: int = 1) -> Array:
    """The inputs of every output place, side by side in the last axis."""
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    h, w = ((n - a) // stride + 1 for n, a in zip(x.shape[1:3], size))
    shifted = [
        x[:, i : i + (h - 1) * stride + 1 : stride, j : j + (w - 1) * stride + 1 : stride]
        for i in range(size[0])
        for j in range(size[1])
    ]
    return jnp.concatenate(shifted, axis=3)


def _same(size: tuple[int, ...]) -> Pads:
    top, left = (size[0] - 1) // 2, (size[1] - 1) // 2
    return (top, size[0] - 1 - top), (left, size[1] - 1 - left)


def _dense_forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    pads = _same(kernel.shape)
    if x.shape[3] < 8:
        return _by_patches_forward(x, kernel, pads)[0], (x, kernel)
    return _convolve_natively(x, kernel, pads), (x, kernel)


def _dense_backward(saved: tuple[Array, Array], slope: Array) -> tuple[Array, Array]:
    x, kernel = saved
    (top, bottom), (left, right) = pads = _same(kernel.shape)
    mirrored = (bottom, top), (right, left)
    along_x = _convolve_natively(slope, kernel[::-1, ::-1].swapaxes(2, 3), mirrored)
    a, b, c, f = kernel.shape
    if 2 * c <= f:
        patches = _patches(x, (a, b), pads)
        return along_x, (patches.reshape(-1, a * b * c).T @ slope.reshape(-1, f)).reshape(kernel.shape)
    # Shifting the image along one axis and the slope along the other needs a third of the copies.
    columns = _patches(x, (1, b), ((0, 0), pads[1]))
    rows = _patches(slope, (a, 1), (mirrored[0], (0, 0)))
    products = (columns.reshape(-1, b * c).T @ rows.reshape(-1, a * f)).reshape(b, c, a, f)
    return along_x, products[:, :, ::-1].transpose(2, 0, 1, 3)


_convolve_densely = jax.custom_vjp(lambda x, kernel: _dense_forward(x, kernel)[0])
_convolve_densely.defvjp(_dense_forward, _dense_backward)


def few_at_once(
    function: Callable[[Float[Array, "n ..."]], Float[Array, "n ..."]], x: Float[Array, "m ..."]
) -> Float[Array, "m ..."]:
    """`function` of all images, if it treats them alike: on a CPU of as few after the other as keep in cache what it
    writes, elsewhere of all together."""
    if jax.default_backend() != "cpu" or len(x) == 0:
        return function(x)
    most = CACHE // bytes_written(jax.make_jaxpr(function)(x[:1]).jaxpr)
    together = next(n for n in range(max(1, min(len(x), most)), 0, -1) if len(x) % n == 0)
    if together == len(x):
        return function(x)
    outputs = lax.map(function, x.reshape(-1, together, *x.shape[1:]))
    return outputs.reshape(len(x), *outputs.shape[2:])


@jax.custom_jvp
def _max_pool(x: Array) -> Array:
    return _largest(x)[0]


def _largest(x: Array) -> tuple[Array, Array]:
    corners = [x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
    largest = jnp.maximum(jnp.maximum(corners[0], corners[1]), jnp.maximum(corners[2], corners[3]))
    a, b, c = (corner == largest for corner in corners[:3])
    return largest, jnp.where(a, 0, jnp.where(b, 1, jnp.where(c, 2, 3))).astype(jnp.int8)


@_max_pool.defjvp
def _max_pool_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (x,), (direction,) = primals, tangents
    m, h, w, c = x.shape
    largest, place = _largest(x)
    there = place[:, :, None, :, None] == jnp.arange(4, dtype=jnp.int8).reshape(2, 1, 2, 1)
    return largest, jnp.where(there, direction.reshape(m, h // 2, 2, w // 2, 2, c), 0).sum((2, 4))


def max_pool(x: Float[Array, "m h w c"]) -> Float[Array, "m h//2 w//2 c"]:
    """The largest of each 2 x 2 square (its gradient goes to the first of equals); an odd last row or column is left
    out."""
    return _max_pool(x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2])
