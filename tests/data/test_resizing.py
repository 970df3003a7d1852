"""Areas are averaged exactly, wherever the borders fall."""

import numpy as np
import pytest
from PIL import Image

from nopal.data.resizing import resize


def one(values) -> np.ndarray:
    return np.asarray(values, np.uint8)[None, :, :, None]


def test_pixels_on_a_border_count_in_part():
    # Three pixels onto two: the middle one belongs to both halves.
    assert resize(one(np.tile([0, 90, 240], (3, 1))), (2, 2))[0, 0, :, 0].tolist() == [30, 190]


def test_a_whole_ratio_agrees_with_pillow():
    photo = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)
    pillow = np.asarray(Image.fromarray(photo).resize((30, 20), Image.Resampling.BOX))
    assert np.abs(resize(photo[None], (20, 30))[0].astype(int) - pillow).max() <= 1


def test_omniglot_ratio_agrees_with_the_sum_over_a_fifteenfold_grid():
    ink = np.random.default_rng(1).integers(0, 2, (105, 105), np.uint8) * 255
    # 105 = 28 * 3.75: each original pixel cut into 4 x 4, each new one is 15 x 15 of them.
    fine = ink.repeat(4, 0).repeat(4, 1).astype(float)
    exact = fine.reshape(28, 15, 28, 15).mean((1, 3))
    np.testing.assert_array_equal(resize(one(ink), (28, 28))[0, :, :, 0], np.floor(exact + 0.5))


def test_the_centre_is_cut_out():
    wide = one(np.tile([9, 10, 20, 30, 40, 9], (4, 1)))
    np.testing.assert_array_equal(resize(wide, (4, 4))[0, 0, :, 0], [10, 20, 30, 40])
    np.testing.assert_array_equal(resize(wide, (2, 2))[0, :, :, 0], [[15, 35]] * 2)
    tall = wide.transpose(0, 2, 1, 3)
    np.testing.assert_array_equal(resize(tall, (2, 2))[0, :, :, 0], [[15, 15], [35, 35]])


def test_a_cut_may_end_inside_a_pixel():
    # Three columns, two rows, onto one pixel: half of the outer columns is kept.
    assert resize(one([[0, 100, 200]] * 2), (1, 1)).item() == 100
    assert resize(one([[100, 0, 60]] * 2), (1, 1)).item() == 40


def test_growing_interpolates():
    assert resize(one([[0, 100], [0, 100]]), (4, 4))[0, 0, :, 0].tolist() == [0, 25, 75, 100]


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (13, 40), (29, 31)])
def test_even_images_stay_even(size):
    assert (resize(np.full((2, 13, 11, 3), 137, np.uint8), size) == 137).all()
