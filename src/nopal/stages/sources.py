"""Data by name or path, as the command line and the recipes ask for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int

from nopal.data import folder, glyphs, load_arrays, mini_imagenet, mnist, omniglot
from nopal.data.arrays import check_labels
from nopal.data.images import ImageSet, Splits
from nopal.data.reading import Color, kind_of
from nopal.errors import NopalError

NAMED: dict[str, Callable[[], Splits]] = {
    "glyphs": glyphs.load,
    "omniglot": omniglot.load,
    "omniglot-background": lambda: omniglot.load("background"),
    "omniglot-nme": lambda: omniglot.load("nme"),
    "omniglot-nme-validation": lambda: omniglot.load("nme-validation"),
    "mini-imagenet": mini_imagenet.load,
    "mnist": mnist.load,
}

Split = Literal["train", "validation", "test"]


def load_splits(name: str) -> Splits:
    """A data set by name; raises `NopalError` for an unknown one."""
    if name not in NAMED:
        raise NopalError(f"There is no data set named {name!r}; expected one of {', '.join(NAMED)}.")
    return NAMED[name]()


def name_of(source: str | Path) -> str:
    """What records call the data: never a path of this machine."""
    return Path(source).resolve().name


def load_images(
    source: str, *, split: Split = "train", size: int | tuple[int, int] | None = None, color: Color = "keep"
) -> ImageSet:
    """A split of a named data set, the images of an `.npz` file, or a folder of images.

    `size` and `color` are what a folder's images are brought to. Raises `NopalError` where there is nothing of that
    kind.
    """
    if source in NAMED:
        images = getattr(load_splits(source), split)
        if images is None:
            raise NopalError(f"The data set {source} has no {split} split; choose train or test.")
        return images
    path = Path(source)
    if path.suffix == ".npz":
        return load_arrays(path)
    if kind_of(path) is None:
        raise NopalError(
            f"{source!r} is neither a folder, nor a .npz file, nor a data set by name ({', '.join(NAMED)}); check the "
            "spelling."
        )
    return folder(path, size=size, color=color, progress=True)


def check_size(source: str, size: int | None) -> None:
    """Raises `NopalError` where a size is asked for of images that are not brought to any."""
    if size is not None and (source in NAMED or Path(source).suffix == ".npz"):
        raise NopalError(f"The size {size} is for the images of a folder, and {source} is none; leave it out.")


def load_labels(path: Path) -> Int[np.ndarray, "n"] | None:
    """The labels `Y` that stand beside the vectors of a file, numbered from 0; None where there are none.

    Raises `NopalError` where they aren't whole numbers or texts, one a row.
    """
    if path.suffix != ".npz":
        return None
    with np.load(path) as file:
        if "Y" not in file:
            return None
        labels = file["Y"]
    check_labels(path, labels, len(np.atleast_1d(labels)), "vectors")
    return np.unique(labels, return_inverse=True)[1]
