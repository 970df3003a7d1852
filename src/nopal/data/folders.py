"""Any folder of images, with one subfolder per class or without labels."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from nopal.data.images import ImageSet
from nopal.data.reading import Color, checked_size, read_image
from nopal.errors import NopalError


def folder(
    path: str | os.PathLike[str],
    *,
    size: int | tuple[int, int] | None = None,
    color: Color = "keep",
    labelled: bool | None = None,
    skip_unreadable: bool = False,
    progress: bool = False,
) -> ImageSet:
    """All images below a folder, sorted by path; hidden files and files that are no images are passed over.

    `size` (one number, or height and width) cuts the centre of each image to that aspect and averages it to that size
    (see `resize`); without it all images must have one size. `color="keep"` gives one channel if no image shows any
    colour, else three. Turned photos are set upright (EXIF), transparent parts become white, 16 bits are scaled to 8.

    `labelled=True` takes each first-level subfolder as a class, with all that lies below it; `False` gives no labels;
    `None` finds out: there are labels if at least two subfolders hold images and no image lies beside them. Raises
    `NopalError` for a folder that is missing or has no images, and for a file that can't be read, unless
    `skip_unreadable`.
    """
    root = Path(path).expanduser()
    size = checked_size(size)
    if color not in ("keep", "grey", "rgb"):
        raise NopalError(f"The colour option is {color!r}; expected 'keep', 'grey' or 'rgb'.")
    files = _image_files(root)
    labelled = _has_labels(root, files, labelled)
    kept: list[str] = []
    images: list[np.ndarray] = []
    with contextlib.ExitStack() as stack:
        pool = ThreadPoolExecutor()
        stack.callback(pool.shutdown, cancel_futures=True)  # or an error would wait until all files are read
        read = pool.map(functools.partial(read_image, size=size, color=color), [root / file for file in files])
        shown = track(read, f"Reading {root}", len(files), console=Console(stderr=True), disable=not progress)
        for image, file in zip(shown, files):  # in this order, or the last one would never be shown as read
            if isinstance(image, NopalError):
                if not skip_unreadable:
                    raise image
                continue
            if images and image.shape[:2] != images[0].shape[:2]:
                (h, w), (first_h, first_w) = image.shape[:2], images[0].shape[:2]
                raise NopalError(
                    f"{root / file} is {h} x {w} pixels (height x width), but {kept[0]} is {first_h} x {first_w}: give "
                    "a size to which all are brought, for instance size=84."
                )
            kept.append(file)
            images.append(image)
    if not images:
        raise NopalError(
            f"None of the {len(files)} images in {root} can be read, {files[0]} for one; are they complete?"
        )
    channels = max(image.shape[2] for image in images)
    stacked = np.empty((len(images), *images[0].shape[:2], channels), np.uint8)
    for row, image in zip(stacked, images):
        row[:] = image
    if not labelled:
        return ImageSet(stacked, files=tuple(kept))
    owners = [file.split("/")[0] for file in kept]
    classes, labels = np.unique(owners, return_inverse=True)
    return ImageSet(stacked, labels, tuple(classes.tolist()), tuple(kept))


def _image_files(root: Path) -> list[str]:
    if not root.exists():
        raise NopalError(f"There is no folder {root}; check the path.")
    if not root.is_dir():
        raise NopalError(f"{root} is a file; expected a folder of images.")
    endings = Image.registered_extensions()  # and Pillow's readers are there from now on
    readable = Image.OPEN.keys() - {"BUFR", "GRIB", "HDF5", "MPEG"}  # these four it knows by name only
    files = list(_walk(root, ()))
    images = [file for file in files if endings.get(Path(file).suffix.lower()) in readable]
    if not files:
        raise NopalError(f"The folder {root} is empty; expected images in it or in its subfolders.")
    if not images:
        raise NopalError(
            f"None of the {len(files)} files in {root} is an image ({files[0]} for one); expected .png, .jpg or the "
            "like, in it or in its subfolders."
        )
    return sorted(images, key=lambda file: file.split("/"))


def _walk(directory: Path, parents: tuple[str, ...], prefix: str = "") -> Iterator[str]:
    """Relative paths of all files that aren't hidden; links are followed, but never in a circle."""
    here = os.path.realpath(directory)
    if here in parents:
        return
    for entry in directory.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry, (*parents, here), f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name


def _has_labels(root: Path, files: list[str], labelled: bool | None) -> bool:
    loose = [file for file in files if "/" not in file]
    classes = {file.split("/")[0] for file in files if "/" in file}
    if labelled is None:
        return not loose and len(classes) > 1
    if labelled and loose:
        raise NopalError(
            f"{loose[0]} lies beside the class folders of {root}; put every image into the folder of its class."
        )
    folders = {entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    empty = sorted(folders - classes)
    if labelled and empty:
        raise NopalError(f"The class folder {root / empty[0]} holds no image; put some there, or take the folder away.")
    return labelled
