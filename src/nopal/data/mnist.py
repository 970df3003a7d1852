"""MNIST (LeCun et al., 1998): handwritten digits, 28 x 28, from the four idx files."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import Int32, UInt8

from nopal.data.download import data_folder, fetch
from nopal.data.images import ImageSet, Splits
from nopal.errors import NopalError

_SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_MD5 = {
    "train-images-idx3-ubyte": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "ec29112dd5afa0611ce80d1b7f02629c",
}
_VALIDATION = 5000


def load() -> Splits:
    """55,000 / 5,000 / 10,000 images of 28 x 28 x 1 bytes, ink 255 on 0.

    The last 5,000 of the official training set are validation, as in CACTUs; the ten classes, `0` to `9`, are the same
    in all parts. Files may be gzipped or not. Raises `NopalError` for files that are missing, damaged, cut off or of
    another kind.
    """
    classes = tuple("0123456789")
    train = ImageSet(_images("train", 60_000), _labels("train", 60_000), classes)
    test = ImageSet(_images("t10k", 10_000), _labels("t10k", 10_000), classes)
    cut = len(train) - _VALIDATION
    return Splits(train.take(np.arange(cut)), train.take(np.arange(cut, len(train))), test)


def read_idx(path: Path, shape: tuple[int, ...]) -> UInt8[np.ndarray, "..."]:
    """The bytes of an idx file, which must have this shape; raises `NopalError` where it hasn't."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise NopalError(
            f"{path} can't be unpacked ({error}): it is damaged or cut off; delete it and get it again."
        ) from error
    magic = bytes([0, 0, 8, len(shape)])  # 8: unsigned bytes
    if content[:4] != magic:
        raise NopalError(
            f"{path} begins with bytes {content[:4].hex(' ') or '(none)'}; an idx file of bytes with {len(shape)} axes "
            f"begins with {magic.hex(' ')}: get the file again."
        )
    start = 4 + 4 * len(shape)
    found = tuple(np.frombuffer(content[4:start][: (len(content) - 4) // 4 * 4], ">u4").tolist())
    if found != shape:
        raise NopalError(f"{path} says that its shape is {found}; expected {shape}: get the file again.")
    if len(content) - start != math.prod(shape):
        raise NopalError(
            f"{path} holds {len(content) - start} bytes of data where its shape {shape} needs {math.prod(shape)}: "
            "it is cut off or damaged; get the file again."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _images(part: str, count: int) -> UInt8[np.ndarray, "n h w 1"]:
    return read_idx(_find(f"{part}-images-idx3-ubyte"), (count, 28, 28))[..., None]


def _labels(part: str, count: int) -> Int32[np.ndarray, "n"]:
    return read_idx(_find(f"{part}-labels-idx1-ubyte"), (count,)).astype(np.int32)


def _find(name: str) -> Path:
    plain = data_folder() / "mnist" / name
    return plain if plain.is_file() else fetch(f"mnist/{name}.gz", f"{_SOURCE}{name}.gz", f"md5:{_MD5[name]}")
