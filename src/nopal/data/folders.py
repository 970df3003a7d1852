"""Any folder of images, with one subfolder per class or without labels."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from nopal.data.images import ImageSet
from nopal.data.reading import Color, checked_size, kind_of, read_image
from nopal.errors import NopalError

MOST_NAMED = 10
"""Files that can't be read, of which a person is told by name."""


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
    `NopalError` for a folder that is missing or has no images, and for a file or subfolder that can't be read, unless
    `skip_unreadable`: then standard error names those left out.
    """
    root = Path(path).expanduser()
    size = checked_size(size)
    if color not in ("keep", "grey", "rgb"):
        raise NopalError(f"The colour option is {color!r}; expected 'keep', 'grey' or 'rgb'.")
    left_out: list[str] = []
    files = _image_files(root, left_out if skip_unreadable else None)
    labelled = _has_labels(root, files, labelled)
    kept: list[str] = []
    images: list[np.ndarray] = []
    with contextlib.ExitStack() as stack:
        pool = ThreadPoolExecutor()
        stack.callback(pool.shutdown, cancel_futures=True)  # or an error would wait until all files are read
        read = pool.map(functools.partial(read_image, size=size, color=color), [root / file for file in files])
        bar = stack.enter_context(Progress(console=Console(stderr=True), disable=not progress))
        shown = bar.track(read, len(files), description=f"Reading {escape(str(root))}")
        for image, file in zip(shown, files):  # in this order, or the last one would never be shown as read
            if isinstance(image, NopalError):
                if not skip_unreadable:
                    raise image
                left_out.append(file)
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
    if left_out:
        tell_left_out([str(root / file) for file in left_out])
    channels = max(image.shape[2] for image in images)
    stacked = np.empty((len(images), *images[0].shape[:2], channels), np.uint8)
    for row, image in zip(stacked, images):
        row[:] = image
    if not labelled:
        return ImageSet(stacked, files=tuple(kept))
    owners = [file.split("/")[0] for file in kept]
    classes, labels = np.unique(owners, return_inverse=True)
    return ImageSet(stacked, labels, tuple(classes.tolist()), tuple(kept))


def tell_left_out(files: Sequence[str]) -> None:
    """A line on standard error about files that can't be read."""
    named = ", ".join(files[:MOST_NAMED]) + (" and others" if len(files) > MOST_NAMED else "")
    print(f"Left out, for they can't be read: {len(files):,} ({named}).", file=sys.stderr)


def _image_files(root: Path, left_out: list[str] | None) -> list[str]:
    found = kind_of(root)
    if found is None:
        raise NopalError(f"There is no folder {root}; check the path.")
    if found == "file":
        raise NopalError(f"{root} is a file; expected a folder of images.")
    endings = Image.registered_extensions()  # and Pillow's readers are there from now on
    readable = Image.OPEN.keys() - {"BUFR", "GRIB", "HDF5", "MPEG"}  # these four it knows by name only
    files = list(_walk(root, left_out))
    images = [file for file in files if endings.get(Path(file).suffix.lower()) in readable]
    if not files:
        raise NopalError(f"The folder {root} is empty; expected images in it or in its subfolders.")
    if not images:
        raise NopalError(
            f"None of the {len(files)} files in {root} is an image ({files[0]} for one); expected .png, .jpg or the "
            "like, in it or in its subfolders."
        )
    return sorted(images, key=lambda file: file.split("/"))


def _walk(
    directory: Path, left_out: list[str] | None, parents: tuple[str, ...] = (), prefix: str = ""
) -> Iterator[str]:
    """Relative paths of all files that aren't hidden; links are followed, but never in a circle. Subfolders that can't
    be opened get into `left_out`, where it is a list."""
    here = os.path.realpath(directory)
    if here in parents:
        return
    try:
        entries = list(directory.iterdir())
    except OSError as error:
        if left_out is None or not parents:
            raise NopalError(
                f"The folder {directory} can't be opened ({error.strerror}); change its permissions or take it away."
            ) from None
        left_out.append(prefix)
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if os.path.isdir(entry):
            yield from _walk(entry, left_out, (*parents, here), f"{prefix}{entry.name}/")
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
    folders = {entry.name for entry in root.iterdir() if os.path.isdir(entry) and not entry.name.startswith(".")}
    empty = sorted(folders - classes)
    if labelled and empty:
        raise NopalError(f"The class folder {root / empty[0]} holds no image; put some there, or take the folder away.")
    return labelled
