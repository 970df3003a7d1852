"""Omniglot (Lake et al., Science 2015): 1,623 handwritten characters of 50 alphabets, 20 drawings each."""

from __future__ import annotations

import functools
import io
import json
import random
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from nopal.data.download import UNREADABLE, Arrays, cached, fetch
from nopal.data.images import ImageSet, Splits
from nopal.data.resizing import resize
from nopal.errors import NopalError

_SOURCE = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
_MD5 = {
    "images_background.zip": "68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation.zip": "6b91aef0f799c5bb55b94e3f2daec811",
}
_SIDE, _DRAWINGS = 105, 20


Split = Literal["cactus", "background", "nme", "nme-validation"]


def load(split: Split = "cactus", size: int = 28) -> Splits:
    """Omniglot as `size` x `size` x 1 bytes, ink 255 on 0, averaged from the originals' 105 x 105 by exact areas.

    `"cactus"` is the split of CACTUs and of MAML's published code: 1100 / 100 / 423 characters, mixed over alphabets.
    `"background"` is Lake's own: 964 characters of 30 alphabets to train on, 659 of 20 other alphabets to test on, none
    to validate.

    `"nme"` is that of Yin et al. (2020) for tasks that invite memorising, 1200 / 0 / 423 characters: those of
    `"cactus"`, with the validation characters among the training characters. `"nme-validation"` is the same without the
    test: 1100 characters to train on, and the other 100 both to validate and, in its place, to test on, so that
    whatever is chosen on it was not chosen on test characters.

    Classes are named `Alphabet/character01`. Raises `NopalError` for an unknown split and for files that are missing or
    damaged.
    """
    if split not in get_args(Split):
        raise NopalError(f"The split is {split!r}; Omniglot has the splits {', '.join(get_args(Split))}.")
    if not 1 <= size <= _SIDE:
        raise NopalError(f"The size is {size}; expected 1 to {_SIDE} pixels, the size of the originals.")
    zips = [fetch(f"omniglot/{name}", _SOURCE + name, f"md5:{md5}") for name, md5 in _MD5.items()]
    stored = cached(f"omniglot-{size}", zips, lambda: _read(zips, size))
    characters = ImageSet(stored["X"], stored["Y"], tuple(stored["classes"].tolist()), tuple(stored["files"].tolist()))
    parts = {part: characters.of_classes(names) for part, names in characters_of(split).items()}
    return Splits(parts["train"], parts.get("validation"), parts["test"])


def characters_of(split: Split) -> dict[str, list[str]]:
    """The names of characters in each part of a split."""
    lists = class_lists()
    if split in lists:
        return lists[split]
    chosen = lists["cactus"]
    if split == "nme":
        return {"train": chosen["train"] + chosen["validation"], "test": chosen["test"]}
    return {"train": chosen["train"], "validation": chosen["validation"], "test": chosen["validation"]}


@functools.cache
def class_lists() -> dict[str, dict[str, list[str]]]:
    """The committed names of characters: split, part (train, validation, test), names."""
    return json.loads(resources.files("nopal.data").joinpath("omniglot_split.json").read_text())


def cactus_split(characters: Iterable[str]) -> dict[str, list[str]]:
    """How the committed `"cactus"` lists were made: names sorted, shuffled by Python's generator seeded 1, and cut.

    MAML's code shuffled in the order in which the machine listed folders, so its very characters can't be had again.
    """
    shuffled = sorted(characters)
    random.Random(1).shuffle(shuffled)
    return {"train": shuffled[:1100], "validation": shuffled[1100:1200], "test": shuffled[1200:]}


def _read(zips: Iterable[Path], size: int) -> Arrays:
    images, files, classes = [], [], []
    for path, expected in zip(zips, class_lists()["background"].values()):
        try:
            with zipfile.ZipFile(path) as archive:
                drawings = _drawings(archive)
                for name in expected:
                    if len(drawings[name]) != _DRAWINGS:
                        raise NopalError(
                            f"{path} holds {len(drawings[name])} drawings of {name}; expected {_DRAWINGS}: replace it "
                            f"by the official file from {_SOURCE}{path.name}."
                        )
                    ink = np.stack([_ink(archive, drawing) for drawing in drawings[name]])
                    images.append(resize(ink, (size, size)))
                    files += drawings[name]
                    classes.append(name)
        except UNREADABLE as error:
            if isinstance(error, NopalError):
                raise
            raise NopalError(
                f"{path} is damaged ({error}): delete it and let Nopal download it again, or copy it again."
            ) from error
    labels = np.repeat(np.arange(len(classes), dtype=np.int32), _DRAWINGS)
    return {"X": np.concatenate(images), "Y": labels, "classes": np.array(classes), "files": np.array(files)}


def _drawings(archive: zipfile.ZipFile) -> defaultdict[str, list[str]]:
    """Sorted file names of every character; whatever else the zip holds is left alone."""
    found = defaultdict(list)
    for file in sorted(archive.namelist()):
        parts = file.split("/")
        if len(parts) == 4 and parts[0] == Path(archive.filename or "").stem and file.endswith(".png"):
            found["/".join(parts[1:3])].append(file)
    return found


def _ink(archive: zipfile.ZipFile, file: str) -> UInt8[np.ndarray, "h w 1"]:
    with Image.open(io.BytesIO(archive.read(file))) as image:
        paper = np.asarray(image.convert("L"))
    if paper.shape != (_SIDE, _SIDE):
        raise ValueError(f"{file} is {paper.shape[0]} x {paper.shape[1]} instead of {_SIDE} x {_SIDE}")
    return 255 - paper[..., None]
