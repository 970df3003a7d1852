"""Images, labels and vectors in `.npz` files: `X`, `Y` and `Z`, as in the files of CACTUs (Hsu et al., ICLR 2019)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from nopal.data.download import UNREADABLE, write_npz
from nopal.data.images import ImageSet
from nopal.errors import NopalError

BLOCK = 1 << 24  # numbers looked at together
Stored = np.lib.npyio.NpzFile | dict[str, np.ndarray]


def load_arrays(path: str | os.PathLike[str]) -> ImageSet:
    """The images `X` of an `.npz` file, with their labels `Y` where there are any.

    `X` are bytes of shape [n, h, w], [n, h, w, c] or [n, c, h, w] with 1 or 3 channels. `Y` are whole numbers or texts,
    one an image: they are numbered from 0 in sorted order, and classes are named after them, unless the file names its
    `classes`, to which labels then point. `files` may name the images. Raises `NopalError` for anything else, and for
    damaged files.
    """
    with _opened(path) as stored:
        if "X" not in stored:
            raise NopalError(f"{path} holds {_keys(stored)}; images are expected under the name X.")
        images = _channels_last(path, _array(stored, "X"))
        files = tuple(map(str, _array(stored, "files"))) if "files" in stored else ()
        if "Y" not in stored:
            return ImageSet(images, files=files)
        labels = _array(stored, "Y")
        check_labels(path, labels, len(images), "images X")
        if "classes" in stored and labels.dtype.kind != "U":
            return ImageSet(images, labels.astype(np.int64), tuple(map(str, _array(stored, "classes"))), files)
        values, labels = np.unique(labels, return_inverse=True)
        return ImageSet(images, labels, tuple(map(str, values)), files)


def load_vectors(path: str | os.PathLike[str]) -> Float32[np.ndarray, "n d"]:
    """The vectors of an `.npy` file, or those named `Z`, `Z_raw` or `vectors` in an `.npz` file, one a row.

    Those of an `.npy` file in float32 are mapped into memory, not read: they may be more than fit into it. Raises
    `NopalError` where vectors aren't finite floating-point numbers in two axes, where there are not as many as images
    or labels in the same file, and for damaged files.
    """
    with _opened(path) as stored:
        name = next((name for name in ("Z", "Z_raw", "vectors", "") if name in stored), None)
        if name is None:
            raise NopalError(f"{path} holds {_keys(stored)}; vectors are expected under the name Z, Z_raw or vectors.")
        vectors = _array(stored, name)
        beside = next((other for other in ("Y", "X") if other in stored), None)
        rows = len(np.atleast_1d(_array(stored, beside))) if beside else None
        if beside and vectors.ndim and len(vectors) != rows:
            raise NopalError(f"{path} holds {len(vectors)} vectors {name} but {rows} rows {beside}; expected as many.")
    return _finite(f"The vectors {name} of {path}" if name else f"The vectors of {path}", vectors)


def save_arrays(
    path: str | os.PathLike[str], images: ImageSet, vectors: Shaped[np.ndarray, "n d"] | None = None
) -> None:
    """Writes `X`, and what there is of `Y`, `Z`, `classes` and `files`, to an `.npz` file.

    `load_arrays` and `load_vectors` read it again. Raises `NopalError` for vectors that aren't finite or not one an
    image, and where the file can't be written.
    """
    arrays: dict[str, np.ndarray] = {"X": images.images}
    if images.labels is not None:
        arrays["Y"] = images.labels
    if vectors is not None:
        arrays["Z"] = _finite("The vectors", np.asarray(vectors))
        if len(vectors) != len(images):
            raise NopalError(f"There are {len(vectors)} vectors for {len(images)} images; expected one for each.")
    if images.classes:
        arrays["classes"] = np.array(images.classes)
    if images.files:
        arrays["files"] = np.array(images.files)
    try:
        write_npz(Path(path).expanduser(), arrays)
    except OSError as error:
        raise NopalError(f"{path} can't be written ({error.strerror}); choose a place that can.") from error


def check_labels(path: str | os.PathLike[str], labels: Shaped[np.ndarray, "..."], rows: int, of: str) -> None:
    """Raises `NopalError` where labels aren't whole numbers or texts, one for each of `rows` rows."""
    if labels.shape != (rows,) or labels.dtype.kind not in "iuU":
        raise NopalError(
            f"The labels Y of {path} have shape {labels.shape} and type {labels.dtype}; expected one whole number "
            f"(or text) for each of the {rows} {of}."
        )


def _channels_last(path: str | os.PathLike[str], images: Shaped[np.ndarray, "..."]) -> UInt8[np.ndarray, "n h w c"]:
    first, last = (images.ndim == 4 and images.shape[axis] in (1, 3) for axis in (1, 3))
    if images.ndim == 3 and images.dtype == np.uint8:
        return images[..., None]
    if images.dtype != np.uint8 or first == last:
        hint = "two axes could be the channels here" if first and last else "convert them"
        raise NopalError(
            f"The images X of {path} have shape {images.shape} and type {images.dtype}; expected bytes (uint8) of "
            "shape [n, height, width], [n, height, width, channels] or [n, channels, height, width] with 1 or 3 "
            f"channels: {hint}."
        )
    return np.ascontiguousarray(np.moveaxis(images, 1, 3)) if first else images


def _finite(what: str, vectors: Shaped[np.ndarray, "..."]) -> Float32[np.ndarray, "n d"]:
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or not vectors.size:
        raise NopalError(
            f"{what} have shape {vectors.shape} and type {vectors.dtype}; expected floating-point numbers of shape "
            "[n, d], with at least one row."
        )
    if not isinstance(vectors, np.memmap) or vectors.dtype != np.float32:
        with np.errstate(over="ignore"):
            vectors = np.asarray(vectors).astype(np.float32)
    block = max(1, BLOCK // vectors.shape[1])
    parts = [np.isfinite(vectors[i : i + block]).all(axis=1) for i in range(0, len(vectors), block)]
    bad = np.flatnonzero(~np.concatenate(parts))
    if bad.size:
        raise NopalError(
            f"{what} are not all finite: row {bad[0]} is the first of {bad.size} with a NaN or an infinite number; "
            "remove or repair them."
        )
    return vectors


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[Stored]:
    """The arrays of a file by name, read when asked for; the one array of an `.npy` file has the name ''."""
    try:
        with Path(path).expanduser().open("rb") as file:
            if file.peek(6)[:6] == b"\x93NUMPY":
                # Pickles hide in arrays of objects, which can't be mapped.
                stored = np.load(Path(path).expanduser(), mmap_mode="r", allow_pickle=False)
            else:
                stored = np.load(file, allow_pickle=False)
            yield {"": stored} if isinstance(stored, np.ndarray) else stored
    except NopalError:
        raise
    except FileNotFoundError as error:
        raise NopalError(f"There is no file {path}; check the path.") from error
    except UNREADABLE as error:
        if isinstance(error, OSError) and error.strerror:
            raise NopalError(f"{path} can't be opened ({error.strerror}); check its name and permissions.") from error
        # Not what NumPy says: it takes damaged files for pickles, and advises to load them all the same.
        raise NopalError(
            f"{path} can't be read as NumPy arrays; it is damaged, of another kind, or holds Python objects."
        ) from error


def _array(stored: Stored, name: str) -> Shaped[np.ndarray, "..."]:
    array = stored[name]
    if not isinstance(array, np.ndarray):  # NumPy hands out the bytes of what it doesn't recognise
        raise ValueError(f"{name} is no array")
    return array


def _keys(stored: Stored) -> str:
    return " and ".join(filter(None, stored)) or "one array without a name"
