import jax.numpy as jnp
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.report.contact_sheet import contact_sheet


def numbered(way=3, per_class=4, height=8, width=8, channels=3):
    """Grey images whose brightness tells class and place: 10 * class + place + 100, as bytes."""
    value = 10 * np.arange(way)[:, None] + np.arange(per_class) + 100
    return np.broadcast_to(value[:, :, None, None, None], (way, per_class, height, width, channels)).astype(np.uint8)


def drawn(figure):
    """Left edge, top edge, right, bottom and brightness (in bytes) of every image drawn."""
    for image in figure.axes[0].images:
        left, right, bottom, top = image.get_extent()
        pixels = np.asarray(image.get_array(), float)
        assert np.ptp(pixels) == 0
        yield left, top, right, bottom, round(255 * pixels.max())


def test_every_image_stands_in_the_row_of_its_class_and_the_column_of_its_place():
    places = {value: (left, top) for left, top, _, _, value in drawn(contact_sheet(numbered(), shot=1))}
    assert sorted(places) == [100, 101, 102, 103, 110, 111, 112, 113, 120, 121, 122, 123]
    lefts = [places[100 + j][0] for j in range(4)]
    tops = [places[100 + 10 * i][1] for i in range(3)]
    assert lefts == sorted(lefts)
    assert tops == sorted(tops)
    assert places == {100 + 10 * i + j: (lefts[j], tops[i]) for i in range(3) for j in range(4)}


@pytest.mark.parametrize("shot", [1, 2, 3])
def test_a_rule_stands_between_support_and_queries_and_touches_no_image(shot):
    figure = contact_sheet(numbered(), shot=shot)
    (rule,) = figure.axes[0].lines
    x = rule.get_xdata()[0]
    first_row = sorted(place for place in drawn(figure) if place[-1] < 110)
    assert first_row[shot - 1][2] < x < first_row[shot][0]
    words = [text.get_text() for text in figure.axes[0].texts]
    assert {"0", "1", "2", "support", "queries"} <= set(words)


def test_without_queries_there_is_no_rule():
    figure = contact_sheet(numbered(), shot=4, title="A task")
    assert not figure.axes[0].lines
    assert "queries" not in [text.get_text() for text in figure.axes[0].texts]
    assert "A task" in [text.get_text() for text in figure.axes[0].texts]


def test_images_keep_their_proportions():
    left, top, right, bottom, _ = next(iter(drawn(contact_sheet(numbered(height=6, width=12), shot=1))))
    assert (right - left) / (bottom - top) == pytest.approx(2)
    axes = contact_sheet(numbered(height=6, width=12), shot=1).axes[0]
    width, height = axes.figure.get_size_inches()
    assert np.ptp(axes.get_xlim()) / width == pytest.approx(np.ptp(axes.get_ylim()) / height)


def test_drawings_in_white_on_black_become_ink_on_paper():
    drawing = np.zeros((1, 1, 4, 4, 1), np.float32)
    drawing[0, 0, 0, 0] = 1
    (picture,) = contact_sheet(jnp.asarray(drawing), shot=1).axes[0].images
    np.testing.assert_allclose(picture.get_array(), np.broadcast_to(1 - drawing[0, 0], (4, 4, 3)))


def test_grey_photographs_and_dark_colours_stay_as_they_are():
    grey = np.full((1, 1, 4, 4, 1), 60, np.uint8)
    dark = np.zeros((1, 1, 4, 4, 3), np.uint8)
    for images in (grey, dark):
        (picture,) = contact_sheet(images, shot=1).axes[0].images
        np.testing.assert_allclose(picture.get_array(), np.broadcast_to(images[0, 0] / 255, (4, 4, 3)))


@pytest.mark.parametrize(
    ("images", "shot", "said"),
    [
        (numbered(), 0, "The shot is 0, but every class has 4 images; choose 1 to 4"),
        (numbered(), 5, "The shot is 5"),
        (numbered(channels=2), 1, "Images have 2 channels, expected 1 .* or 3"),
        (numbered().astype(np.float32), 1, "from 100.0 to 123.0, expected bytes or numbers from 0 to 1"),
        (np.full((1, 1, 2, 2, 1), np.nan), 1, "from nan to nan"),
        (numbered()[:0], 1, "of an empty array"),
    ],
)
def test_what_is_no_task_of_images_is_refused(images, shot, said):
    with pytest.raises(NopalError, match=said):
        contact_sheet(images, shot=shot)
