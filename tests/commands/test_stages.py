"""What `nopal train` refuses; that it works at all is a test of the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nopal import NopalError
from nopal.commands.stages import encode, train
from nopal.data import save_arrays
from nopal.data.images import ImageSet
from nopal.options.experiment import TrainingOptions
from nopal.options.learners import ProtoNetOptions

LEARNER = ProtoNetOptions(filters=4, downsample="stride")
TRAINING = TrainingOptions(way=2, query=1, tasks_per_step=1, steps=2)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Ten labelled images of noise."""
    noise = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 1), np.uint8)
    save_arrays(tmp_path / "images.npz", ImageSet(noise, np.repeat(np.arange(2), 5)))
    return tmp_path / "images.npz"


@pytest.mark.parametrize(
    ("source", "out", "sentence"),
    [
        ("photos", "photos/run", "photos/run would lie within photos, where its own pictures would count as images"),
        ("photos", "used", "The folder .*used already holds a run"),
        ("nowhere", "run", "The way of a task is 1"),
    ],
)
def test_found_before_images_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, out: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "config.json").write_text("{}")
    training = TrainingOptions(way=1) if source == "nowhere" else TRAINING
    with pytest.raises(NopalError, match=sentence):
        train(source, Path("labels"), Path(out), learner=LEARNER, training=training)


def test_resumed_with_other_images(images: Path, tmp_path: Path) -> None:
    train(str(images), Path("labels"), tmp_path / "run", learner=LEARNER, training=TRAINING)
    save_arrays(images, ImageSet(np.zeros((10, 8, 8, 1), np.uint8), np.repeat(np.arange(2), 5)))
    with pytest.raises(NopalError, match="was begun with other images than these"):
        train(str(images), Path("labels"), tmp_path / "run", learner=LEARNER, training=TRAINING, resume=True)


def test_resumed_with_other_labels(images: Path, tmp_path: Path) -> None:
    train(str(images), Path("labels"), tmp_path / "run", learner=LEARNER, training=TRAINING)
    with np.load(images) as arrays:
        save_arrays(images, ImageSet(arrays["X"], arrays["Y"][::-1]))
    with pytest.raises(NopalError, match="was begun with other partitions or labels than these"):
        train(str(images), Path("labels"), tmp_path / "run", learner=LEARNER, training=TRAINING, resume=True)


def test_vectors_are_not_written_among_the_pictures(tmp_path: Path) -> None:
    with pytest.raises(NopalError, match=r"vectors\.npz would lie within .*choose a place outside"):
        encode(str(tmp_path), tmp_path / "vectors.npz")
