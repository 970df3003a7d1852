"""Which objects are meta-trained on, which judge hyper-parameters, and which are for the meta-test."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Sequence
from importlib import resources


def divide(names: Sequence[str], split: str = "auto") -> tuple[list[str], list[bool]]:
    """For each name "train" or "test", and whether it is one of the training objects that are held back for validation
    while hyper-parameters are chosen.

    "pascal3d" goes by the list of names that is committed with the code, where an unknown name is for training;
    "seeded" shuffles the sorted names with `random.Random(1)`: the first quarter is for the test, and a sixth of the
    others for validation. "auto" takes the list where it has all the names and leaves neither part empty.
    """
    known = pascal3d()
    listed = [split for name in names for split in [known.get(name)]]
    fits = all(listed) and "test" in listed and len(set(listed)) > 1
    if split == "seeded" or (split == "auto" and not fits):
        known = shuffled(names)
    parts = [known.get(name, "train") for name in names]
    return ["test" if part == "test" else "train" for part in parts], [part == "validation" for part in parts]


def shuffled(names: Sequence[str]) -> dict[str, str]:
    """ "train", "validation" or "test" for each name, whatever their order."""
    order = sorted(names)
    random.Random(1).shuffle(order)
    test = max(1, round(len(order) / 4)) if len(order) > 1 else 0
    validation = round((len(order) - test) / 6)
    return {name: _part(place, test, validation) for place, name in enumerate(order)}


def _part(place: int, test: int, validation: int) -> str:
    return "test" if place < test else "validation" if place < test + validation else "train"


@functools.cache
def pascal3d() -> dict[str, str]:
    """The committed list: CAD models of PASCAL3D+ 1.1 without bottles and trains, 61 that can be had (46 for training,
    of which 8 are held back, and 15 for the test) and the 6 others of its release, which are for training."""
    parts = json.loads(resources.files("nopal.data.poses").joinpath("pascal3d_split.json").read_text())
    return {name: part for part, names in parts.items() for name in names}
