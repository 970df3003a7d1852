"""Contact sheets of poses."""

import io

import numpy as np
import pytest

from nopal.report import pose_sheet


@pytest.mark.parametrize("channels", [(), (3,)])
def test_views_stand_under_the_nearest_angle(channels: tuple[int, ...]) -> None:
    angles = np.array([[3.1, 0.2, 6.2, 4.8, 1.5], [0.5, 1.6, 4.0, 3.0, 4.6]], np.float32)
    values = np.arange(10, dtype=np.uint8).reshape(2, 5, 1, 1, *[1] * len(channels))
    images = np.broadcast_to(values, (2, 5, 4, 6, *channels)).copy()
    figure = pose_sheet(images, angles, ["a/1", "b/2"], columns=4)
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["a/1", "b/2", "0°", "90°", "180°", "270°"]
    mosaic = np.asarray(axes.images[0].get_array())
    assert mosaic.shape == (8, 24, 3)
    np.testing.assert_array_equal(mosaic[::4, ::6, 0], [[2, 4, 0, 3], [5, 6, 8, 9]])
    assert (np.ptp(mosaic.reshape(2, 4, 4, 6, 3), axis=(1, 3)) == 0).all()


def test_names_are_no_formulas_and_long_ones_keep_their_end() -> None:
    names = ["a$\\b$/1", "a_very_long_class_of_objects/0123"]
    figure = pose_sheet(np.zeros((2, 1, 4, 4), np.uint8), np.zeros((2, 1), np.float32), names)
    assert [text.get_text() for text in figure.axes[0].texts[:2]] == [names[0], "…_of_objects/0123"]
    figure.savefig(io.BytesIO())
    assert all(text.get_window_extent().x0 >= 0 for text in figure.axes[0].texts)
