"""The pickles of Yin et al.'s pose data: `train_data.pkl` and `val_data.pkl`, written by Python 2 or 3.

Such a file holds [images, labels]: lists of objects, of views, of arrays [h, w] in bytes and of [x, (y + 1) / 2,
angle / (2 pi)].
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64, UInt8

from nopal.atomic import written_beside
from nopal.errors import NopalError


class Tables(NamedTuple):
    """What such a file holds."""

    images: UInt8[np.ndarray, "objects views h w *c"]
    labels: Float64[np.ndarray, "objects views 3"]


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """The one use of `codecs.encode` in such files: Python 3 writes bytes so where Python 2 should read them."""
    return text.encode("latin1")


_MULTIARRAY = {"_reconstruct": np.zeros(0).__reduce__()[0], "scalar": np.float64(0).__reduce__()[0]}
ADMITTED = {
    (f"numpy.{core}.multiarray", name): value for core in ("core", "_core") for name, value in _MULTIARRAY.items()
} | {("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype, ("_codecs", "encode"): _latin1}


class _Restricted(pickle.Unpickler):
    """Admits arrays, numbers, text and lists, and nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it wants {module}.{name}, where only NumPy arrays and lists are admitted")
        return ADMITTED[module, name]


def read_pickle(path: Path) -> Tables:
    """Images and labels; raises `NopalError` for a file that is absent, damaged, or holds anything else."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NopalError(f"{path} cannot be read ({error.strerror}); expected a pickle of poses.") from None
    try:
        images, labels = _Restricted(io.BytesIO(content), encoding="latin1").load()
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
        raise NopalError(f"{path} cannot be written ({error.strerror}); choose another folder.") from None
    return path
