"""Images in rows and columns."""

import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.report import image_grid


def test_every_image_has_its_place():
    images = np.random.default_rng(0).uniform(0.5, 1, (2, 3, 4, 6, 1))
    figure = image_grid(images, ["image", "decoded"])
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["image", "decoded"]
    assert len(axes.images) == 6
    first, last = axes.images[0], axes.images[-1]
    np.testing.assert_allclose(np.asarray(last.get_array())[..., 0], images[1, 2, ..., 0])
    assert first.get_extent()[0] < last.get_extent()[0]
    assert first.get_extent()[3] < last.get_extent()[3]


def test_other_numbers_are_refused():
    with pytest.raises(NopalError, match="expected bytes or numbers from 0 to 1"):
        image_grid(np.full((1, 1, 2, 2, 1), 3.0))
