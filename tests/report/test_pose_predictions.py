"""Pictures of what a learner says about poses."""

import dataclasses
import io
import math

import numpy as np
import pytest
from matplotlib.patches import Wedge

from nopal.report import PosePredictions, evenly, predictions_figure
from nopal.report.angles import shorter_way


def predictions(said: object = 100.0, names: tuple[str, ...] = ("car/1", "bus/2", "cat/3")) -> PosePredictions:
    """Two tasks of each object: views 0 and 1 are support, 2 and 3 queries, of 10, 20, 30 and 350 degrees; each view is
    a square of its own brightness on black."""
    n = len(names)
    images = np.zeros((n, 4, 12, 16, 1), np.uint8)
    images[:, :, 4:8, 6:10] = np.array([60, 120, 180, 240], np.uint8)[:, None, None, None]
    query = np.tile([3, 2], (n, 2, 1))
    return PosePredictions(
        names,
        images,
        np.tile([10.0, 20.0, 30.0, 350.0], (n, 1)),
        np.tile([1, 0], (n, 2, 1)),
        query,
        np.broadcast_to(np.asarray(said, float), query.shape).copy(),
        np.full(query.shape, 2.5),
        "squared_error",
        10.0,
    )


def test_views_keep_their_colours() -> None:
    grey = predictions()
    found = dataclasses.replace(grey, images=grey.images * np.array([1, 0, 0], np.uint8))
    picture = predictions_figure(found, rows=1).axes[0].images[0].get_array()
    assert picture.shape[2] == 3
    assert picture[..., 0].max() > 0.2
    assert picture[..., 1:].max() == 0


def test_errors_go_the_shorter_way_round() -> None:
    np.testing.assert_array_equal(
        shorter_way(np.array([0.0, 90, 179, 181, 340, -340, 725, math.inf, math.nan])),
        [0, 90, 179, -179, -20, 20, 5, math.nan, math.nan],
    )
    found = predictions(100.0)
    np.testing.assert_array_equal(found.true[1], [[350, 30], [350, 30]])
    np.testing.assert_array_equal(found.errors[2], [[110, 70], [110, 70]])


def test_objects_are_evenly_chosen() -> None:
    assert evenly(15, 6).tolist() == [0, 3, 6, 8, 11, 14]
    assert evenly(3, 6).tolist() == [0, 1, 2]
    assert evenly(7, 1).tolist() == [0]


def test_a_row_for_each_object_and_a_dot_for_each_prediction() -> None:
    found = predictions(370.0)
    figure = predictions_figure(found, "CNP after 3 steps", rows=2)
    axes, first, last, whole, errors = figure.axes
    texts = [text.get_text() for text in axes.texts]
    assert "CNP after 3 steps" in texts
    assert ("car/1" in texts, "bus/2" in texts, "cat/3" in texts) == (True, False, True)
    assert texts.count("mean error 20°\nsquared error 2.50") == 2
    assert [text for text in texts if text.endswith("°") and len(text) < 5] == [
        *("10°", "20°", "30°", "370°", "350°", "370°")
    ] * 2
    dots = [np.asarray(panel.collections[0].get_offsets()).tolist() for panel in (first, last, whole)]
    assert dots == [[[350, 370], [30, 370]] * 2, [[350, 370], [30, 370]] * 2, [[350, 370], [30, 370]] * 6]
    assert [label.get_text() for label in errors.get_yticklabels()] == ["car/1", "bus/2", "cat/3"]
    np.testing.assert_allclose([line.get_xdata()[0] for line in errors.lines[1:6:2]], 20)


def test_hands_turn_from_below_to_the_right_and_the_error_lies_between_them() -> None:
    axes = predictions_figure(predictions(120.0), rows=1).axes[0]
    wedges = [patch for patch in axes.patches if isinstance(patch, Wedge)]
    # These are counted from the right towards the bottom: 30° lies at 60, 120° at -30, and 350° at -260 as at 100.
    assert [(wedge.theta1, wedge.theta2) for wedge in wedges] == [(-30, 60), (-390, -260)]
    hands = [line.get_xydata() for line in axes.lines[-4:]]
    true, said = (hand[1] - hand[0] for hand in hands[:2])
    np.testing.assert_allclose(true / np.linalg.norm(true), [0.5, math.sqrt(0.75)], atol=1e-12)
    np.testing.assert_allclose(said / np.linalg.norm(said), [math.sqrt(0.75), -0.5], atol=1e-12)


def test_views_are_cut_to_where_they_differ() -> None:
    pictures = [np.asarray(image.get_array()) for image in predictions_figure(predictions(), rows=1).axes[0].images]
    assert {picture.shape for picture in pictures} == {(5, 5)}
    assert [picture.max() for picture in pictures] == [60 / 240, 120 / 240, 180 / 240, 1]


def test_what_lies_beyond_a_panel_is_at_its_edge_and_what_diverged_is_named() -> None:
    figure = predictions_figure(predictions([[900.0, -900.0], [math.nan, math.inf]]), rows=1)
    axes, panel = figure.axes[:2]
    inside, above, below = (np.asarray(dots.get_offsets()) for dots in panel.collections)
    assert (len(inside), above.tolist(), below.tolist()) == (0, [[350, 394]], [[30, -34]])
    assert any("2 of 4 diverged" in text.get_text() for text in axes.texts)
    lost = predictions_figure(predictions(math.nan), rows=1)
    assert [text.get_text() for text in lost.axes[0].texts].count("diverged") == 2


def test_names_are_no_formulas_and_long_ones_keep_their_end() -> None:
    figure = predictions_figure(predictions(names=("a$\\b$/1", "a_very_long_class_of_objects/0123")))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert {"a$\\b$/1", "…_of_objects/0123"} <= set(texts)
    figure.savefig(io.BytesIO())


@pytest.mark.parametrize(("metric", "words"), [("squared_arc", "scored as right"), ("squared_error", "as on a line")])
def test_how_the_seam_is_scored_is_said(metric: str, words: str) -> None:
    found = predictions()
    found = PosePredictions(**(vars(found) | {"metric": metric}))
    assert any(words in text.get_text() for text in predictions_figure(found, rows=1).axes[0].texts)
