"""Vectors that the user brings along."""

import numpy as np
import pytest

from nopal.encoders import load_encoder
from nopal.encoders.arrays import Given
from nopal.errors import NopalError

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3)).astype(np.uint8)
VECTORS = np.arange(12.0).reshape(6, 2)


def test_known_images_have_their_vectors_in_any_order():
    given = Given.fit(IMAGES, VECTORS, data="a friend's")
    assert given.dimensions == 2
    assert (given(IMAGES) == VECTORS).all()
    assert (given(IMAGES[[4, 0, 4]]) == VECTORS[[4, 0, 4]]).all()
    assert (given(IMAGES[1:3] / np.float32(255)) == VECTORS[1:3]).all()
    assert given(IMAGES[:0]).shape == (0, 2)


def test_equal_images_keep_their_own_vectors_when_all_come_in_order():
    twins = IMAGES[[0, 1, 0]]
    given = Given.fit(twins, VECTORS[:3])
    assert (given(twins) == VECTORS[:3]).all()
    assert (given(twins[::-1][:1]) == VECTORS[:1]).all()


def test_new_images_are_refused():
    with pytest.raises(NopalError, match=r"Image 1 .* has no vector among the 4 that were given, 2 in all"):
        Given.fit(IMAGES[:4], VECTORS[:4])(IMAGES[3:])
    with pytest.raises(NopalError, match="was fitted on"):
        Given.fit(IMAGES, VECTORS)(IMAGES[:, :3])


def test_a_saved_file_gives_the_same_vectors(tmp_path):
    given = Given.fit(IMAGES, VECTORS)
    loaded = load_encoder(given.save(tmp_path / "given.npz"))
    assert loaded.made == given.made
    assert (loaded(IMAGES[2:]) == VECTORS[2:]).all()


@pytest.mark.parametrize("vectors", [VECTORS[:5], VECTORS[:, 0], VECTORS[:, :, None]])
def test_vectors_that_do_not_fit_are_refused(vectors):
    with pytest.raises(NopalError, match="expected one row for each of the 6 images"):
        Given.fit(IMAGES, vectors)


def test_vectors_that_are_not_finite_are_named():
    vectors = VECTORS.copy()
    vectors[3, 1] = np.inf
    with pytest.raises(NopalError, match=r"Vector 3 \(counted from 0\) is NaN or infinite, 1 in all"):
        Given.fit(IMAGES, vectors)
