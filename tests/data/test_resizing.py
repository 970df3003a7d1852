"""Areas are averaged exactly, wherever the borders fall."""

import numpy as np
import pytest
from PIL import Image

from nopal.data.resizing import _weighed, resize, resizing_weights


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


class Sums(np.ndarray):
    """Refuses the products that BLAS makes."""

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        assert ufunc is not np.matmul
        return getattr(ufunc, method)(*map(np.asarray, inputs), **options)


def test_no_product_starts_threads_of_blas():
    photo = np.random.default_rng(2).integers(0, 256, (1, 60, 90, 3), np.uint8)
    np.testing.assert_array_equal(resize(photo.view(Sums), (28, 28)), resize(photo, (28, 28)))


@pytest.mark.parametrize(("old", "new"), [(105, 28), (7, 7), (5, 12), (90, 84), (3, 1)])
def test_few_neighbours_weigh_as_all_pixels_do(old, new):
    weights = resizing_weights(old, new, old / new)
    x = np.random.default_rng(3).random((2, old, 6), np.float32)
    np.testing.assert_allclose(_weighed(weights, x), weights @ x, rtol=1e-5)
