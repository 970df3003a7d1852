"""miniImageNet (Vinyals et al. 2016, arXiv 1606.04080) in the split of Ravi and Larochelle (2017): 100 classes of
photographs, 600 each."""

from __future__ import annotations

import collections
import csv
import functools
import zipfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from rich.console import Console
from rich.progress import track

from nopal.data.download import UNREADABLE, Arrays, cached, data_folder
from nopal.data.images import ImageSet, Splits
from nopal.data.reading import checked_size, read_image
from nopal.errors import NopalError

_CLASSES = {"train": 64, "val": 16, "test": 20}
_IMAGES = 600


class _Files(NamedTuple):
    """Files in a zip or below a folder."""

    path: Path
    names: list[str]
    content: Callable[[str], bytes]
    sources: list[Path]
    """what changes when the files do"""


def load(size: int = 84) -> Splits:
    """64 / 16 / 20 classes of 600 images, `size` x `size` x 3 bytes; classes are WordNet's numbers, such as n01532829.

    The files are taken from the folder `miniimagenet` of the data folder, as they are usually passed on. For each part
    (train, val, test) that is one of

    * `train.csv`, the list of Ravi and Larochelle (`filename,label`), beside `images.zip` or the folder `images`,
    * `train.zip` or the folder `train`, with a folder of images for each class; a list beside it says which are meant.

    Images of another size are cut to a square and averaged. What was read is kept in the cache folder (1.3 GB). Raises
    `NopalError` for files that are missing, damaged or incomplete, and for a class in two parts. ImageNet's terms
    forbid to pass these images on, so nothing is downloaded.
    """
    checked_size(size)
    parts = []
    for part, classes in _CLASSES.items():
        files, listed = _find(part)
        sources = [*files.sources, listed] if listed else files.sources
        read = functools.partial(_read, files, listed, classes, size)
        stored = cached(f"mini-imagenet-{part}-{size}", sources, read, compress=False)
        parts.append(ImageSet(stored["X"], stored["Y"], *(tuple(stored[n].tolist()) for n in ("classes", "files"))))
    names = [name for images in parts for name in images.classes]
    if twice := sorted(name for name in set(names) if names.count(name) > 1):
        raise NopalError(
            f"The class {twice[0]} is in two parts of {data_folder() / 'miniimagenet'}: tests need classes of "
            "their own, so get a complete copy."
        )
    return Splits(*parts)


def _find(part: str) -> tuple[_Files, Path | None]:
    """Where the images of a part are, and the list that says which of them are meant, if there is one."""
    folder = data_folder() / "miniimagenet"
    listed = folder / f"{part}.csv"
    has_list = listed.is_file()
    files = (_open(folder / "images") if has_list else None) or _open(folder / part)
    if files is None:
        raise NopalError(
            f"{folder} holds neither {part}.zip nor a folder {part} nor {part}.csv with a folder of images: get "
            "miniImageNet, which ImageNet's terms forbid Nopal to download, and put it there, or let the environment "
            "variable NOPAL_DATA name the folder that holds miniimagenet."
        )
    return files, listed if has_list else None


def _open(path: Path) -> _Files | None:
    """The files in `path.zip` or below the folder `path`."""
    packed = path.with_name(f"{path.name}.zip")
    if packed.is_file():
        try:
            archive = zipfile.ZipFile(packed)
        except UNREADABLE as error:
            raise NopalError(f"{packed} is damaged ({error}): copy it again.") from error
        return _Files(packed, archive.namelist(), archive.read, [packed])
    if not path.is_dir():
        return None
    found = [file for file in path.rglob("*") if file.is_file()]
    names = [file.relative_to(path.parent).as_posix() for file in found]
    folders = sorted({path, *(file.parent for file in found)})
    return _Files(path, names, lambda name: (path.parent / name).read_bytes(), folders)


def _read(files: _Files, listed: Path | None, classes: int, size: int) -> Arrays:
    try:
        entries = sorted(_listed(files, listed) if listed else _sorted_into_folders(files))
        found, labels, counts = np.unique([label for label, _ in entries], return_inverse=True, return_counts=True)
        if len(found) != classes or (counts != _IMAGES).any():
            raise NopalError(
                f"{listed or files.path} has {len(found)} classes and {len(entries)} images; this part of miniImageNet "
                f"has {classes} classes of {_IMAGES} images each: get a complete copy."
            )
        names = [name for _, name in entries]
        images = _images(files, names, size)
    except UNREADABLE as error:
        if isinstance(error, NopalError):
            raise
        raise NopalError(f"{files.path} is damaged ({error}): copy it again.") from error
    return {"X": images, "Y": labels.astype(np.int32), "classes": found, "files": np.array(names)}


def _sorted_into_folders(files: _Files) -> Iterable[tuple[str, str]]:
    """Class and name of every image."""
    paths = ((name, PurePosixPath(name)) for name in files.names)
    return [(path.parent.name, name) for name, path in paths if _is_image(path) and path.parent.name]


def _listed(files: _Files, listed: Path) -> Iterable[tuple[str, str]]:
    """Class and name of every image in the list."""
    places = collections.defaultdict(list)
    for name in files.names:
        if _is_image(PurePosixPath(name)):
            places[PurePosixPath(name).name].append(name)
    found = []
    for label, file in _lines(listed):
        where = [name for name in places[file] if PurePosixPath(name).parent.name == label] or places[file]
        if not where:
            raise NopalError(f"{file}, which {listed} names, is not in {files.path}: get a complete copy.")
        if len(where) > 1:
            raise NopalError(
                f"{listed} names {file}, but {files.path} has {where[0]} and {where[1]}; leave one of them."
            )
        found.append((label, where[0]))
    if len(set(found)) < len(found):
        raise NopalError(f"{listed} names a file twice; get a complete copy.")
    return found


def _lines(listed: Path) -> list[tuple[str, str]]:
    """Label and file of every line of a list."""
    try:
        with listed.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            if not {"filename", "label"} <= set(reader.fieldnames or ()):
                raise NopalError(f"{listed} begins with {reader.fieldnames}; expected the columns filename and label.")
            found = [(line["label"], line["filename"]) for line in reader]
    except UnicodeDecodeError:
        raise NopalError(f"{listed} is no text; expected a list with the columns filename and label.") from None
    if not all(label and file for label, file in found):
        raise NopalError(f"{listed} has a line without a filename or a label; get a complete copy.")
    return found


def _is_image(path: PurePosixPath) -> bool:
    """Whether the name is that of an image; copies of folders leave hidden files behind."""
    hidden = any(part.startswith((".", "__")) for part in path.parts)
    return not hidden and path.suffix.lower() in Image.registered_extensions()


def _images(files: _Files, names: list[str], size: int) -> UInt8[np.ndarray, "n size size 3"]:
    def read(name: str) -> UInt8[np.ndarray, "size size 3"] | NopalError:
        return read_image(files.path / name, (size, size), "rgb", files.content(name))

    images = np.empty((len(names), size, size, 3), np.uint8)
    pool = ThreadPoolExecutor()
    try:
        shown = track(pool.map(read, names), f"Reading {files.path}", len(names), console=Console(stderr=True))
        for row, image in zip(images, shown):
            if isinstance(image, NopalError):
                raise image
            row[:] = image
    finally:
        pool.shutdown(cancel_futures=True)  # or an error would wait until all files are read
    return images
