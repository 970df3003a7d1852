"""One task drawn as a sheet of its images: what a learner sees with labels, and what it then has to name."""

from __future__ import annotations

import numpy as np
from jaxtyping import Array, Float, Shaped
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nopal.errors import NopalError
from nopal.report.page import INK

INCHES = 0.56
"""Width of one image on paper. All other lengths here are in widths of an image."""


def contact_sheet(
    images: Shaped[np.ndarray, "way per_class h w c"] | Shaped[Array, "way per_class h w c"],
    *,
    shot: int,
    title: str = "",
) -> Figure:
    """A row for each class (labels 0 to way - 1): its first `shot` images are support, those behind the rule queries.

    Images are bytes or numbers in [0, 1] with 1 or 3 channels. Drawings in white on black (one channel, more than half
    of it black) are shown as black on white, like ink on paper. Raises `NopalError` for other numbers or channels, and
    for a shot that is no number of images.
    """
    pictures = displayable(np.asarray(images))
    way, per_class, height, width, _ = pictures.shape
    if not 1 <= shot <= per_class:
        raise NopalError(f"The shot is {shot}, but every class has {per_class} images; choose 1 to {per_class}.")
    aspect = height / width
    lefts = 1.08 * np.arange(per_class) + 0.5 * (np.arange(per_class) >= shot)
    tops = (aspect + 0.08) * np.arange(way)
    west, east, north, south = -0.6, lefts[-1] + 1.05, -1.2 if title else -0.6, tops[-1] + aspect + 0.05

    figure = Figure(figsize=(INCHES * (east - west), INCHES * (south - north)))
    axes = figure.add_axes((0, 0, 1, 1))
    for label, top in enumerate(tops):
        axes.text(-0.25, top + aspect / 2, str(label), color=INK, ha="right", va="center", fontsize=10)
        for left, picture in zip(lefts, pictures[label]):
            axes.imshow(picture, extent=(left, left + 1, top + aspect, top), interpolation="lanczos")
    frames = [Rectangle((left, top), 1, aspect) for top in tops for left in lefts]
    axes.add_collection(PatchCollection(frames, facecolor="none", edgecolor=INK, alpha=0.25, linewidth=0.6))
    axes.text(0, -0.2, "support", color=INK, fontsize=9)
    if shot < per_class:
        axes.text(lefts[shot], -0.2, "queries", color=INK, fontsize=9)
        axes.plot([lefts[shot] - 0.29] * 2, [-0.5, south], color=INK, linewidth=1)
    axes.text(0, -0.8, title, color=INK, fontsize=10.5, fontweight="bold")
    axes.set(xlim=(west, east), ylim=(south, north))
    axes.set_axis_off()
    return figure


def displayable(images: Shaped[np.ndarray, "way per_class h w c"]) -> Float[np.ndarray, "way per_class h w 3"]:
    """Numbers in [0, 1] for three colours, drawings as ink on paper."""
    numbers = images / 255 if images.dtype == np.uint8 else images.astype(float)
    if not (numbers.size and numbers.min() >= 0 and numbers.max() <= 1):
        found = f"from {numbers.min()} to {numbers.max()}" if numbers.size else "of an empty array"
        raise NopalError(f"Images have numbers {found}, expected bytes or numbers from 0 to 1; scale them first.")
    if images.shape[-1] not in (1, 3):
        raise NopalError(
            f"Images have {images.shape[-1]} channels, expected 1 (grey) or 3 (colour); leave the others out."
        )
    if images.shape[-1] == 1 and np.median(numbers) < 0.1:
        numbers = 1 - numbers
    return np.broadcast_to(numbers, (*images.shape[:-1], 3))
