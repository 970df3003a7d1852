"""Images of another size: areas averaged exactly where they shrink, interpolated where they grow."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, UInt8


def resize(
    images: UInt8[np.ndarray, "n h w c"] | Float[np.ndarray, "n h w c"], size: tuple[int, int]
) -> UInt8[np.ndarray, "n h2 w2 c"]:
    """The centre of each image, cut to the aspect of `size` (height, width) and brought to that size; values 0 to 255.

    Shrinking averages areas, with pixels on a border counted in part (Pillow's BOX takes them whole or not at all);
    growing interpolates linearly. Borders of the cut may lie inside a pixel, so nothing shifts.
    """
    (n, h, w, c), (new_h, new_w) = images.shape, size
    if (h, w) == (new_h, new_w):
        return np.floor(images + 0.5).astype(np.uint8)
    scale = min(h / new_h, w / new_w)
    x = _weighed(resizing_weights(h, new_h, scale), images.reshape(n, h, w * c))
    x = x.reshape(n, new_h, w, c).swapaxes(1, 2).reshape(n, w, new_h * c)
    x = _weighed(resizing_weights(w, new_w, scale), x).reshape(n, new_w, new_h, c).swapaxes(1, 2)
    return np.floor(x + 0.5).clip(0, 255).astype(np.uint8)


def resizing_weights(old: int, new: int, scale: float) -> Float[np.ndarray, "new old"]:
    """Rows of weights, each summing to 1, mapping `old` pixels to `new` ones of `scale` old pixels each, centred."""
    first = (old - new * scale) / 2
    pixel = np.arange(old)
    if scale > 1:
        start = first + scale * np.arange(new)[:, None]
        weights = np.clip(np.minimum(start + scale, pixel + 1) - np.maximum(start, pixel), 0, None)
    else:
        centre = np.clip(first + scale * (np.arange(new)[:, None] + 0.5) - 0.5, 0, old - 1)
        weights = np.clip(1 - np.abs(centre - pixel), 0, None)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _weighed(
    weights: Float[np.ndarray, "new old"], x: UInt8[np.ndarray, "n old m"] | Float[np.ndarray, "n old m"]
) -> Float[np.ndarray, "n new m"]:
    """`weights @ x`, pixel by pixel over the few neighbours that weigh anything.

    Unlike BLAS this sums in one order on every machine, and starts no threads within the threads that read images.
    """
    weighing = weights > 0
    neighbours = int(weighing.sum(1).max())
    first = np.minimum(weighing.argmax(1), weights.shape[1] - neighbours)
    total = np.zeros((len(x), len(weights), x.shape[2]), np.float32)
    for pixel in (first + k for k in range(neighbours)):
        total += weights[np.arange(len(weights)), pixel, None] * x[:, pixel]
    return total
