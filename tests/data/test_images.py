"""Sets of images hold together, or say what doesn't."""

import jax.numpy as jnp
import numpy as np
import pytest

from nopal.data import ImageSet, as_float
from nopal.errors import NopalError


@pytest.fixture
def letters() -> ImageSet:
    images = np.arange(6, dtype=np.uint8).repeat(4).reshape(6, 2, 2, 1)
    return ImageSet(images, np.array([2, 0, 1, 0, 2, 1]), ("a", "b", "c"), tuple(f"{i}.png" for i in range(6)))


def test_bytes_become_numbers_and_numbers_stay():
    assert as_float(np.array([0, 51, 255], np.uint8)).tolist() == pytest.approx([0, 0.2, 1])
    assert as_float(np.array([0, 51], np.float32)).tolist() == [0, 51]
    assert as_float(np.zeros(1, np.uint8)).dtype == jnp.float32


def test_named_classes_are_numbered_in_the_order_of_their_names(letters):
    part = letters.of_classes(["c", "a"])
    assert part.images[:, 0, 0, 0].tolist() == [0, 1, 3, 4]
    assert part.need_labels().tolist() == [0, 1, 1, 0]
    assert part.classes == ("c", "a")
    assert part.files == ("0.png", "1.png", "3.png", "4.png")


@pytest.mark.parametrize(
    "rows", [[5, 0], (i for i in (0, 5)), np.array([5, 0]), np.array([True, False, False, False, False, True])[::-1]]
)
def test_rows_are_taken_with_all_that_belongs_to_them(letters, rows):
    part = letters.take(rows)
    assert sorted(zip(part.images[:, 0, 0, 0].tolist(), part.need_labels().tolist(), part.files)) == [
        (0, 2, "0.png"),
        (5, 1, "5.png"),
    ]


def test_taking_nothing_leaves_an_empty_set(letters):
    assert len(letters.take([])) == 0


def test_without_labels_there_are_none_to_be_had(letters):
    assert letters.without_labels().files == letters.files
    with pytest.raises(NopalError, match="no labels"):
        letters.without_labels().need_labels()


def test_what_does_not_fit_is_refused(letters):
    images = letters.images
    with pytest.raises(NopalError, match=r"labels must count from 0"):
        ImageSet(images, np.array([-1, 0, 0, 0, 0, 0]))
    with pytest.raises(NopalError, match=r"A label is 3, but only 2 classes"):
        ImageSet(images, np.array([3, 0, 0, 0, 0, 0]), ("a", "b"))
    with pytest.raises(NopalError, match=r"2 file names for 6 images"):
        ImageSet(images, files=("a", "b"))
    with pytest.raises(NopalError, match=r"Class 'z' is not in this data set"):
        letters.of_classes(["a", "z"])
