"""Images in rows and columns, as they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure

from nopal.report.contact_sheet import INCHES, displayable
from nopal.report.page import INK


def image_grid(
    images: UInt8[np.ndarray, "rows columns h w c"] | Float[np.ndarray, "rows columns h w c"],
    names: Sequence[str] = (),
) -> Figure:
    """A picture of each image, rows named where there are `names`.

    Images are those of `contact_sheet`: drawings in white on black are shown as ink on paper.
    """
    pictures = displayable(images)
    rows, columns, height, width, _ = pictures.shape
    aspect, gap, west = height / width, 0.08, -1.6 if names else -0.05
    east, south = columns * (1 + gap), rows * (aspect + gap)
    figure = Figure(figsize=(INCHES * (east - west), INCHES * (south + 0.05)))
    axes = figure.add_axes((0, 0, 1, 1))
    for row in range(rows):
        top = row * (aspect + gap)
        if names:
            axes.text(-0.15, top + aspect / 2, names[row], color=INK, ha="right", va="center", fontsize=9)
        for column in range(columns):
            left = column * (1 + gap)
            axes.imshow(pictures[row, column], extent=(left, left + 1, top + aspect, top), interpolation="lanczos")
    axes.set(xlim=(west, east), ylim=(south, -0.05))
    axes.set_axis_off()
    return figure
