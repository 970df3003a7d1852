"""The pickles of Yin et al.'s pose data: `train_data.pkl` and `val_data.pkl`, written by Python 2 or 3.

Such a file holds [images, labels]: lists of objects, of views, of arrays [h, w] in bytes and of [x, (y + 1) / 2,
angle / (2 pi)].
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, Shaped, UInt8

from nopal.atomic import unwritten, written_beside
from nopal.errors import NopalError


class Tables(NamedTuple):
    """What such a file holds."""

    images: UInt8[np.ndarray, "objects views h w *c"]
    labels: Float64[np.ndarray, "objects views 3"]


ADMITTED = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")} | {
    (f"numpy.{core}.{module}", name)
    for core in ("core", "_core")  # before NumPy 2, and since
    for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
}
PLAIN = {"b1", "i1", "u1", "i2", "u2", "f2", "i4", "u4", "f4", "i8", "u8", "f8"}


class _Said:
    """What a pickle says about an object: which function is to be called with what, and the state to set. Nothing is
    called or set: NumPy's own functions believe all that they are told, and a forged array ends the process."""

    __slots__ = __match_args__ = ("name", "arguments", "state")

    def __init__(self, name: str, arguments: tuple[Any, ...] = ()):
        self.name, self.arguments, self.state = name, arguments, None

    def __call__(self, *arguments: Any) -> _Said:
        return _Said(self.name, arguments)

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Restricted(pickle._Unpickler):
    """Admits arrays, numbers, text and lists, and nothing that could run.

    The unpickler in Python: that in C makes room for as many objects as a file of ten bytes says it has.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it wants {module}.{name}, where only NumPy arrays and lists are admitted")
        return _Said(name)


def _plain(value: Any, left: Iterator[int]) -> Any:
    """Lists of arrays and numbers, of what a pickle says; `left` ends where it repeats itself without end."""
    if next(left, None) is None:
        raise ValueError("it repeats itself")
    match value:
        case list() | tuple():
            return [_plain(each, left) for each in value]
        case int() | float():
            return value
        case _Said("_reconstruct", _, (_, shape, dtype, by_columns, content)):
            return _numbers(content, dtype).reshape(shape, order="F" if by_columns else "C")
        case _Said("_frombuffer", (content, dtype, shape, ("C" | "F") as order, *_)):
            return _numbers(content, dtype).reshape(shape, order=order)
        case _Said("_frombuffer", (content, dtype, shape, "K", axes)):
            return _numbers(content, dtype).reshape(shape).transpose(axes)
        case _Said("scalar", (dtype, content)):
            return _numbers(content, dtype).item()
    raise ValueError(f"it holds {value.name if isinstance(value, _Said) else type(value).__name__} out of place")


def _numbers(content: Any, dtype: Any) -> Shaped[np.ndarray, "n"]:
    """The numbers that bytes stand for. Bytes are text in pickles of Python 2, and encoded text where Python 3 writes
    what Python 2 should read."""
    match content:
        case _Said("encode", (str() as text, *_)) | (str() as text):
            content = text.encode("latin1")
    match dtype:
        case _Said("dtype", (code, *_), (_, ("<" | ">" | "=" | "|") as order, *_)) if code in PLAIN:
            return np.frombuffer(content, order + code)
    raise ValueError("it holds an array of something other than plain numbers")


def read_pickle(path: Path) -> Tables:
    """Images and labels; raises `NopalError` for a file that is absent, damaged, or holds anything else."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NopalError(f"{path} cannot be read ({error.strerror}); expected a pickle of poses.") from None
    try:
        said = _Restricted(io.BytesIO(content), encoding="latin1").load()
        images, labels = _plain(said, iter(range(len(content))))
        tables = Tables(np.asarray(images), np.asarray(labels, np.float64))
    except Exception as error:  # damaged pickles raise whatever their bytes happen to call for
        raise NopalError(
            f"{path} is no pickle of poses ({type(error).__name__}: {error}); expected [images, labels], both lists of "
            "objects, of views."
        ) from None
    pictures, numbers = tables
    if pictures.dtype != np.uint8 or pictures.ndim not in (4, 5) or numbers.shape != (*pictures.shape[:2], 3):
        raise NopalError(
            f"{path} holds images of shape {pictures.shape} ({pictures.dtype}) and labels of shape {numbers.shape}; "
            "expected bytes [objects, views, height, width] and [objects, views, 3]."
        )
    return tables


def write_pickle(path: Path, tables: Tables) -> Path:
    """Write a file that the original code reads, also under Python 2; raises `NopalError` where that cannot be done."""
    images = [list(views) for views in tables.images]
    content = pickle.dumps([images, tables.labels.tolist()], protocol=2)
    content = content.replace(b"numpy._core.multiarray\n", b"numpy.core.multiarray\n", 1)  # its name before NumPy 2
    try:
        with written_beside(path) as beside:
            beside.write_bytes(content)
    except OSError as error:
        raise unwritten(path, error) from None
    return path
