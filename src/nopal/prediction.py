"""A person's few labelled images in, a class for every other image out."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from nopal.data import folder, load_image
from nopal.data.folders import tell_left_out
from nopal.data.images import ImageSet
from nopal.data.reading import UnreadableImage, kind_of
from nopal.errors import NopalError
from nopal.learners.learner import MetaLearner, Predictor
from nopal.runs.files import write_text
from nopal.tasks.episode import Examples
from nopal.tasks.target import Categorical


@dataclasses.dataclass(frozen=True)
class Predictions:
    """The most probable class of each file, and all probabilities."""

    files: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: Float[np.ndarray, "files classes"]

    def write(self, path: str | Path) -> Path:
        """A CSV file with the columns file, class, probability (of that class), and one for each class."""
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow(["file", "class", "probability", *(f"p({name})" for name in self.classes)])
        for file, row in zip(self.files, self.probabilities):
            best = int(row.argmax())
            lines.writerow([file, self.classes[best], f"{row[best]:.4f}", *(f"{p:.4f}" for p in row)])
        return write_text(Path(path), text.getvalue())


def brought_to(shape: tuple[int, int, int]) -> dict[str, Any]:
    """The arguments with which `nopal.data.folder` brings images to that height, width and number of channels."""
    return {"size": shape[:2], "color": "grey" if shape[2] == 1 else "rgb"}


def load_support(path: str | Path, shape: tuple[int, int, int]) -> ImageSet:
    """The labelled support folder of a task: one subfolder for each class, any number of images in each."""
    images = folder(path, **brought_to(shape), labelled=True)
    if len(images.classes) < 2:
        raise NopalError(
            f"The support folder {path} has {len(images.classes)} class; expected a subfolder for each of 2 or more."
        )
    return images


def load_queries(
    paths: Sequence[str | Path], shape: tuple[int, int, int], *, skip_unreadable: bool = False
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Images of `shape` from files and folders, and their names; `skip_unreadable` as for `nopal.data.folder`."""
    if not paths:
        raise NopalError("No image to classify was named; name images, or folders of them.")
    images: list[np.ndarray] = []
    names: list[str] = []
    left_out: list[str] = []
    for path in map(Path, paths):
        if kind_of(path) == "folder":
            found = folder(path, **brought_to(shape), labelled=False, skip_unreadable=skip_unreadable)
            images.extend(found.images)
            names.extend(str(path / file) for file in found.files)
        else:
            try:
                images.append(load_image(path, shape))
            except UnreadableImage:
                if not skip_unreadable:
                    raise
                left_out.append(str(path))
                continue
            names.append(str(path))
    if left_out:
        tell_left_out(left_out)
    if not images:
        raise NopalError(f"None of the {len(left_out)} images to classify can be read; are they complete?")
    return np.stack(images), tuple(names)


def predict(
    learner: MetaLearner, support: ImageSet, images: np.ndarray, files: Sequence[str], *, batch: int = 256
) -> Predictions:
    """Adapt to the support set, then classify the images.

    A prediction never depends on the other images: a learner that was meta-trained with transductive statistics takes
    those of the support set here. Raises `NopalError` where the learner can't tell that many classes apart.
    """
    if learner.statistics == "transductive":
        learner = learner.with_statistics("support")
    examples = Examples(support.images, support.need_labels(), Categorical(len(support.classes)))
    adapted = _adapted(learner, examples)
    rows = [_probabilities(adapted, jnp.asarray(images[i : i + batch])) for i in range(0, len(images), batch)]
    return Predictions(tuple(files), support.classes, np.concatenate(rows))


@eqx.filter_jit
def _adapted(learner: MetaLearner, support: Examples) -> Predictor:
    # What is drawn is always the same, so that predictions can be repeated.
    return learner.adapt(support, key=jax.random.key(0))


@eqx.filter_jit
def _probabilities(adapted: Predictor, images: UInt8[Array, "m h w c"]) -> Float[Array, "m classes"]:
    return jax.nn.softmax(adapted(images), axis=1)
