"""Where data sets lie, how they get there, and where what was computed from them is kept."""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pooch
from jaxtyping import Shaped
from numpy.lib.format import read_array_header_1_0, read_array_header_2_0, read_magic

from nopal.atomic import written_beside
from nopal.errors import NopalError

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]
# What damaged archives are met with; RuntimeError where they ask for a password.
UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error)


def data_folder() -> Path:
    """The folder of data sets: `NOPAL_DATA` where it is set, else the user's cache folder. Nopal only adds to it."""
    return Path(os.environ.get("NOPAL_DATA") or pooch.os_cache("nopal")).expanduser()


def cache_folder() -> Path:
    """The user's folder for what can be computed again: `NOPAL_CACHE` where it is set; never inside `NOPAL_DATA`."""
    return Path(os.environ.get("NOPAL_CACHE") or pooch.os_cache("nopal") / "computed").expanduser()


def fetch(name: str, url: str, known_hash: str) -> Path:
    """The file `name` of the data folder, downloaded from `url` where it is missing.

    A file that lies there is taken as it is, since copies of a data set may be packed differently; its loader checks
    what is inside. `known_hash` (`"md5:..."`) is asked of downloads only. Raises `NopalError` where the download fails.
    """
    path = data_folder() / name
    if path.is_file():
        return path
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        quick_to_fail = pooch.HTTPDownloader(timeout=(5, 60))
        pooch.retrieve(url, known_hash, fname=path.name, path=path.parent, downloader=quick_to_fail)
    except (OSError, ValueError) as error:
        why = "its content is not the published one" if isinstance(error, ValueError) else _reason(error)
        raise NopalError(
            f"{name} is not in {data_folder()} and could not be downloaded from {url} ({why}): put the file at {path}, "
            "or let the environment variable NOPAL_DATA name the folder that holds it."
        ) from error
    finally:
        logger.setLevel(level)
    return path


def cached(name: str, sources: Iterable[Path], compute: Callable[[], Arrays], *, compress: bool = True) -> Arrays:
    """What `compute` returns, kept in the cache folder as `name-<key>.npz`; the key changes when a source file does.

    Without `compress` it is written faster, and bytes in it are mapped into memory, not read. A damaged cache is
    computed again, and a cache that can't be written is done without.
    """
    stamps = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    path = cache_folder() / f"{name}-{hashlib.sha256(repr(stamps).encode()).hexdigest()[:12]}.npz"
    with contextlib.suppress(*UNREADABLE):
        return _load(path)
    arrays = compute()
    with contextlib.suppress(OSError):
        write_npz(path, arrays, compress=compress)
    return arrays


def _load(path: Path) -> Arrays:
    with path.open("rb") as file, np.load(file) as stored:
        plain = {i.filename[:-4]: i for i in stored.zip.infolist() if i.compress_type == zipfile.ZIP_STORED}
        return {name: _map(path, plain[name]) if name in plain else stored[name] for name in stored.files}


def _map(path: Path, member: zipfile.ZipInfo) -> Shaped[np.ndarray, "..."]:
    """An array of an `.npz` that is not compressed; one of bytes is mapped, and the others are small enough to read."""
    with path.open("rb") as file:
        file.seek(member.header_offset + 26)  # the lengths of name and extra field, which precede the content
        file.seek(sum(struct.unpack("<HH", file.read(4))), os.SEEK_CUR)
        start = file.tell()
        read_header = {(1, 0): read_array_header_1_0, (2, 0): read_array_header_2_0}[read_magic(file)]
        shape, transposed, dtype = read_header(file)
        if dtype != np.uint8 or transposed:
            file.seek(start)
            return np.load(file)
        return np.memmap(path, dtype, "r", file.tell(), shape)


def write_npz(path: Path, arrays: Arrays, *, compress: bool = True) -> None:
    """Writes an `.npz` beside `path`, then renames it: no reader ever sees half a file. Raises `OSError`."""
    write = np.savez_compressed if compress else np.savez
    with written_beside(path) as beside, beside.open("wb") as file:
        write(file, allow_pickle=False, **arrays)


def _reason(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "the folder can't be written"
    response = getattr(error, "response", None)
    return f"the server answered {response.status_code}" if response is not None else error.strerror or "no connection"
