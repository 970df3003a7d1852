"""Rendered objects at a glance: a row for each, a column for each direction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, UInt8
from matplotlib.figure import Figure

from nopal.report.contact_sheet import INCHES
from nopal.report.page import INK

LONGEST = 17
"""Characters of a name for which pictures have room."""


def pose_sheet(
    images: UInt8[np.ndarray, "objects views h w *c"],
    angles: Float32[np.ndarray, "objects views"],
    names: Sequence[str],
    *,
    columns: int = 12,
) -> Figure:
    """For each object the views whose angles are nearest to `columns` even ones, under which they stand: what is right
    turns the same way in all rows."""
    height, width = images.shape[2:4]
    columns = min(columns, images.shape[1])
    even = np.arange(columns) * 2 * np.pi / columns
    apart = np.abs((angles[:, None] - even[:, None] + np.pi) % (2 * np.pi) - np.pi)
    chosen = images[np.arange(len(images))[:, None], apart.argmin(axis=2)]
    channels = images.shape[4] if images.ndim == 5 else 1
    rows = chosen.reshape(len(images), columns, height, width, channels).transpose(0, 2, 1, 3, 4)
    mosaic = rows.reshape(len(images) * height, columns * width, channels)
    aspect, west, north = height / width, -2.25, -0.4
    figure = Figure(figsize=(INCHES * (columns - west), INCHES * (aspect * len(images) - north)))
    axes = figure.add_axes((0, 0, 1, 1))
    extent = (0, columns, aspect * len(images), 0)
    axes.imshow(np.broadcast_to(mosaic, (*mosaic.shape[:2], 3)), extent=extent, aspect="auto")
    for row, name in enumerate(map(shortened, names)):
        middle = aspect * (row + 0.5)
        axes.text(-0.1, middle, name, color=INK, ha="right", va="center", fontsize=8, parse_math=False)
    for column, angle in enumerate(even):
        axes.text(column + 0.5, -0.1, f"{np.degrees(angle):.0f}°", color=INK, ha="center", va="bottom", fontsize=8)
    axes.set(xlim=(west, columns), ylim=(aspect * len(images), north))
    axes.set_axis_off()
    return figure


def shortened(name: str) -> str:
    """The name, or its end where it is long: objects of a class differ in that."""
    return name if len(name) <= LONGEST else "…" + name[1 - LONGEST :]
