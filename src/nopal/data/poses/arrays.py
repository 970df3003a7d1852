"""Images of objects with the angles they are seen from, in memory and in files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from nopal.archive import read_archive, write_archive
from nopal.data.poses.pickles import Tables, read_pickle
from nopal.errors import NopalError

_KIND = "nopal poses 1"
Part = Literal["train", "test", "validation", "fitting"]


@dataclasses.dataclass(frozen=True, eq=False)
class PoseSet:
    """As many views of each object: images, and the angle (radians in [0, 2 pi)) and the place they show it at.

    `names` are "class/nn". `split` says "train" or "test" for each object; `validation` marks those objects of the
    training part that are held back while hyper-parameters are chosen. `quaternions` (w, x, y, z) are there where
    objects were turned in all ways; `angles` are then the twist about the vertical. `made` tells what made the set.
    Raises `NopalError` where shapes or values don't fit together.
    """

    images: UInt8[np.ndarray, "objects views h w *c"]
    angles: Float32[np.ndarray, "objects views"]
    x: Float32[np.ndarray, "objects views"]
    y: Float32[np.ndarray, "objects views"]
    names: tuple[str, ...]
    split: tuple[str, ...]
    validation: Bool[np.ndarray, "objects"]
    quaternions: Float[np.ndarray, "objects views 4"] | None = None
    made: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = self.images.shape
        if self.images.dtype != np.uint8 or self.images.ndim not in (4, 5):
            raise NopalError(
                f"The images of the objects have shape {shape} and type {self.images.dtype}; expected bytes (uint8) of "
                "shape [objects, views, height, width], with 3 channels behind where they have colours."
            )
        for name, values in (("angles", self.angles), ("x", self.x), ("y", self.y)):
            if values.shape != shape[:2] or not np.isfinite(values).all():
                raise NopalError(
                    f"The {name} have shape {values.shape}; expected a finite number for each of {shape[:2]} views."
                )
        if self.angles.size and not (self.angles.min() >= 0 and self.angles.max() < 2 * np.pi):
            raise NopalError(
                f"The angles go from {self.angles.min():.4g} to {self.angles.max():.4g}; expected radians from 0 to "
                "below 2 pi."
            )
        counts = len(self.names), len(self.split), len(self.validation)
        if set(counts) != {len(self.images)} or not {"train", "test"}.issuperset(self.split):
            raise NopalError(
                f"There are {counts} names, splits and marks for {len(self.images)} objects; expected as many, and "
                "splits that say train or test."
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of one view: 1 where views are grey."""
        height, width, *channels = self.images.shape[2:]
        return height, width, channels[0] if channels else 1

    def part(self, which: Part) -> PoseSet:
        """The objects for "train" (with those of validation), "test", "validation", or "fitting": train without
        validation."""
        train = np.array([part == "train" for part in self.split], bool)
        choices = {
            "train": train,
            "test": ~train,
            "validation": train & self.validation,
            "fitting": train & ~self.validation,
        }
        if which not in choices:
            raise NopalError(f"The part is {which!r}; expected one of {', '.join(choices)}.")
        rows = np.flatnonzero(choices[which])
        if not rows.size:
            raise NopalError(f"None of the {len(self)} objects is for {which}; choose another part, or other objects.")
        return self.of(rows)

    def digest(self) -> str:
        """16 digits that tell these views, angles, names and parts from others."""
        found = hashlib.blake2b(json.dumps([self.names, self.split, self.images.shape]).encode(), digest_size=8)
        for array in (self.images, self.angles, self.validation):
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()

    @property
    def variants(self) -> int:
        """How many further shapes there are of objects for meta-training."""
        return int(self.made.get("variants", 0))

    @property
    def warp(self) -> str:
        """How those were warped."""
        return str(self.made.get("warp", "free"))

    def with_variants(self, most: int) -> PoseSet:
        """The same without the further shapes of an object beyond the first `most`."""
        if most >= self.variants:
            return self
        parts = [name.rpartition("~") for name in self.names]
        surplus = [base in self.names and number.isdigit() and int(number) > most for base, _, number in parts]
        some = self.of(np.flatnonzero(np.logical_not(surplus)))
        return dataclasses.replace(some, made=self.made | {"variants": most})

    def of(self, rows: Int[np.ndarray, "chosen"]) -> PoseSet:
        """The objects of these numbers."""
        return PoseSet(
            self.images[rows],
            self.angles[rows],
            self.x[rows],
            self.y[rows],
            tuple(self.names[row] for row in rows),
            tuple(self.split[row] for row in rows),
            self.validation[rows],
            None if self.quaternions is None else self.quaternions[rows],
            self.made,
        )

    def save(self, path: str | Path) -> Path:
        """Write an `.npz` file that `load_poses` reads; raises `NopalError` where it cannot be written."""
        arrays: dict[str, np.ndarray] = {
            name: getattr(self, name) for name in ("images", "angles", "x", "y", "validation")
        }
        arrays |= {"names": np.array(self.names, str), "split": np.array(self.split, str)}
        if self.quaternions is not None:
            arrays["quaternions"] = self.quaternions
        return write_archive(path, _KIND, self.made, arrays)


def load_poses(path: str | Path) -> PoseSet:
    """The poses of an `.npz` file, or of an original pickle (`.pkl`), read without running anything that it holds.

    Beside a file train_data*.pkl, val_data*.pkl of the same folder is read as the test part where it is there. Raises
    `NopalError` for files that are absent, damaged or hold something else.
    """
    path = Path(path).expanduser()
    if path.suffix in (".pkl", ".pickle"):
        return _from_pickles(path)
    made, arrays = read_archive(path, _KIND)
    try:
        return PoseSet(
            arrays["images"],
            arrays["angles"],
            arrays["x"],
            arrays["y"],
            tuple(arrays["names"].tolist()),
            tuple(arrays["split"].tolist()),
            arrays["validation"],
            arrays.get("quaternions"),
            made,
        )
    except KeyError as error:
        raise NopalError(f"{path} lacks the array {error}; render it again.") from None


def _from_pickles(path: Path) -> PoseSet:
    other = path.with_name(path.name.replace("train_data", "val_data"))
    both = other != path and other.is_file()
    parts = {"train": read_pickle(path)} | ({"test": read_pickle(other)} if both else {})
    if not both and path.name.startswith("val_data"):
        parts = {"test": parts["train"]}
    tables = list(parts.values())
    if len({table.images.shape[1:] for table in tables}) > 1:
        shapes = " and ".join(str(table.images.shape) for table in tables)
        raise NopalError(f"{path} and {other.name} hold images of shapes {shapes}; expected as many views of one size.")
    images = np.concatenate([table.images for table in tables])
    x, y, angles = np.moveaxis(np.concatenate([_unscaled(table) for table in tables]), 2, 0)
    owners = [(part, row) for part, table in parts.items() for row in range(len(table.images))]
    return PoseSet(
        images,
        angles % np.float32(2 * np.pi),
        x,
        y,
        tuple(f"{part}/{row:02}" for part, row in owners),
        tuple(part for part, _ in owners),
        np.zeros(len(images), bool),
        made={"pickles": [path.name, other.name] if both else [path.name]},
    )


def _unscaled(table: Tables) -> Float32[np.ndarray, "objects views 3"]:
    """x, y and the angle, of labels that are x, (y + 1) / 2 and angle / (2 pi)."""
    return (table.labels * [1, 2, 2 * np.pi] - [0, 1, 0]).astype(np.float32)


def tables_of(poses: PoseSet) -> Tables:
    """Images and labels scaled as in the original pickles."""
    labels = np.stack([poses.x, (poses.y + 1) / 2, poses.angles / (2 * np.pi)], axis=2, dtype=np.float64)
    return Tables(poses.images, labels)
