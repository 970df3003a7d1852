"""Data by name or path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nopal import NopalError
from nopal.data.images import ImageSet, Splits
from nopal.stages.sources import NAMED, load_images, load_labels, load_splits, name_of


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> Splits:
    """The data set 'letters', without a validation split."""
    sets = [ImageSet(np.full((n, 4, 4, 1), n, np.uint8)) for n in (1, 2)]
    splits = Splits(sets[0], None, sets[1])
    monkeypatch.setitem(NAMED, "letters", lambda: splits)
    return splits


def test_splits_by_name(named: Splits) -> None:
    assert load_splits("letters") is named
    assert load_images("letters") is named.train
    assert load_images("letters", split="test") is named.test
    with pytest.raises(NopalError, match="letters has no validation split"):
        load_images("letters", split="validation")


def test_unknown_names() -> None:
    with pytest.raises(NopalError, match="no data set named 'letterz'; expected one of glyphs"):
        load_splits("letterz")
    with pytest.raises(NopalError, match=r"'letterz' is neither a folder, nor a \.npz file, nor a data set by name"):
        load_images("letterz")


def test_folders_are_brought_to_size_and_colour(tmp_path: Path) -> None:
    Image.new("L", (12, 9), 5).save(tmp_path / "a.png")
    assert load_images(str(tmp_path)).shape == (9, 12, 1)
    assert load_images(str(tmp_path), size=(3, 4), color="rgb").shape == (3, 4, 3)


def test_archives(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.zeros((2, 4, 4), np.uint8), Y=["b", "a"])
    found = load_images(str(tmp_path / "a.npz"))
    assert (found.shape, found.classes) == ((4, 4, 1), ("a", "b"))


def test_labels_beside_vectors(tmp_path: Path) -> None:
    np.savez(tmp_path / "y.npz", Z=np.zeros((3, 2)), Y=[7, 5, 7])
    np.savez(tmp_path / "z.npz", Z=np.zeros((3, 2)))
    labels = load_labels(tmp_path / "y.npz")
    assert labels is not None
    assert labels.tolist() == [1, 0, 1]
    assert load_labels(tmp_path / "z.npz") is None
    assert load_labels(tmp_path / "z.npy") is None


def test_records_name_no_path_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (name_of("glyphs"), name_of("/home/me/photos/"), name_of(".")) == ("glyphs", "photos", tmp_path.name)


@pytest.mark.parametrize("y", [np.zeros((3, 5), int), np.full(3, np.nan), np.zeros(3, bool), np.int64(1)])
def test_labels_that_are_none_are_refused(tmp_path: Path, y: np.ndarray) -> None:
    np.savez(tmp_path / "y.npz", Z=np.zeros((3, 2)), Y=y)
    with pytest.raises(NopalError, match=r"labels Y of .*y\.npz have shape .*; expected one whole number \(or text\)"):
        load_labels(tmp_path / "y.npz")


def test_a_name_that_is_too_long_is_no_source() -> None:
    with pytest.raises(NopalError, match=r"can't be opened \(File name too long\)"):
        load_images("a" * 300)
