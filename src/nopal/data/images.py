"""Sets of images, and the one place where bytes become numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped, UInt8

from nopal.errors import NopalError


def as_float(x: Shaped[Array, "*shape"] | Shaped[np.ndarray, "*shape"]) -> Float[Array, "*shape"]:
    """Bytes become numbers in [0, 1]; numbers stay what they are. Networks and encoders see input through this."""
    x = jnp.asarray(x)
    return x.astype(jnp.float32) / 255 if x.dtype == jnp.uint8 else x


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSet:
    """Images of one size, with or without labels.

    `images` are bytes; `labels` index `classes`; `files` names the images (paths, or empty where there are none).
    Raises `NopalError` where shapes, types or lengths don't fit together.
    """

    images: UInt8[np.ndarray, "n h w c"]
    labels: Int[np.ndarray, "n"] | None = None
    classes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        images = np.asarray(self.images)
        if images.dtype != np.uint8 or images.ndim != 4:
            raise NopalError(
                f"Images have shape {images.shape} and type {images.dtype}; expected bytes (uint8) of shape [n, "
                "height, width, channels]: add the missing axis or convert them, for instance with "
                "(255 * x).round().astype('uint8')."
            )
        if self.labels is not None:
            labels = np.asarray(self.labels)
            if not np.issubdtype(labels.dtype, np.integer) or labels.shape != (len(images),):
                raise NopalError(
                    f"Labels have shape {labels.shape} and type {labels.dtype}; expected one whole number for each of "
                    f"the {len(images)} images."
                )
            if labels.size and labels.min() < 0:
                raise NopalError(f"The smallest label is {labels.min()}; labels must count from 0.")
            object.__setattr__(self, "labels", labels.astype(np.int32))
            if self.classes and labels.size and labels.max() >= len(self.classes):
                raise NopalError(
                    f"A label is {labels.max()}, but only {len(self.classes)} classes are named; name them all."
                )
        if self.files and len(self.files) != len(images):
            raise NopalError(f"There are {len(self.files)} file names for {len(images)} images; expected one for each.")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of one image."""
        return self.images.shape[1:]

    def need_labels(self) -> Int[np.ndarray, "n"]:
        """The labels; raises `NopalError` where there are none."""
        if self.labels is None:
            raise NopalError("These images have no labels, which this needs; sort them into one folder per class.")
        return self.labels

    def take(self, rows: Iterable[int] | np.ndarray) -> ImageSet:
        """The images at `rows`, in that order; classes keep their numbers."""
        rows = np.asarray(rows if isinstance(rows, np.ndarray) else list(rows))
        rows = rows if rows.size else rows.astype(int)  # an empty list has no type of its own
        labels = None if self.labels is None else self.labels[rows]
        files = tuple(self.files[i] for i in np.arange(len(self))[rows]) if self.files else ()
        return ImageSet(self.images[rows], labels, self.classes, files)

    def of_classes(self, names: Iterable[str]) -> ImageSet:
        """The images of named classes, renumbered in the order of `names`; raises `NopalError` for unknown names."""
        names = tuple(names)
        labels = self.need_labels()
        number = {name: i for i, name in enumerate(self.classes)}
        unknown = [name for name in names if name not in number]
        if unknown:
            raise NopalError(f"Class {unknown[0]!r} is not in this data set, which has {len(self.classes)} classes.")
        new = np.full(len(self.classes), -1, np.int32)
        new[[number[name] for name in names]] = np.arange(len(names))
        kept = self.take(np.flatnonzero(new[labels] >= 0))
        return ImageSet(kept.images, new[kept.need_labels()], names, kept.files)

    def without_labels(self) -> ImageSet:
        """The same images as a person has them who never labelled any."""
        return ImageSet(self.images, files=self.files)


class Splits(NamedTuple):
    """The meta-train, meta-validation and meta-test parts of a data set; `validation` may be absent."""

    train: ImageSet
    validation: ImageSet | None
    test: ImageSet
