"""Scores against a choice that was varied, as a picture."""

from __future__ import annotations

import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.report import Point, as_svg, sweep_figure

SERIES = {
    "1,000 steps": [Point(0.1, 2.25, 0.2), Point(0.0, 4.5, 0.5), Point(1e-3, 3.0)],
    "30 steps": [Point(1e-3, 8.0, 0.1, diverged=2)],
}
PUBLISHED = {0.0: 4.6, 1.0: 5.0}


def test_dots_for_what_was_measured_and_rings_for_what_was_published() -> None:
    figure = sweep_figure(SERIES, PUBLISHED, over="beta", metric="squared_error")
    (axes,) = figure.axes
    marks = [line for line in axes.lines if line.get_marker() == "o"]
    (rings,) = [line for line in marks if line.get_fillstyle() == "none"]
    assert list(zip(rings.get_xdata(), rings.get_ydata())) == [(0.0, 4.6), (1.0, 5.0)]
    dots = [line for line in marks if line is not rings]
    assert [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in dots] == [(0, 4.5), (1e-3, 3), (0.1, 2.25), (1e-3, 8)]
    assert [dot.get_markerfacecolor() == "white" for dot in dots] == [False, False, False, True]
    lines = [line for line in axes.lines if line.get_marker() == "None"]
    assert [list(line.get_xdata()) for line in lines] == [[0.0, 1e-3, 0.1], [1e-3]]
    ends = [segment[:, 1] for bars in axes.collections for segment in bars.get_segments()]
    np.testing.assert_allclose(ends[0], [4.0, 5.0])
    np.testing.assert_allclose(ends[2], [2.05, 2.45])
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["1,000 steps", "30 steps", "published", "without tasks that diverged"]


def test_the_axis_of_the_choice_is_one_of_logarithms_with_a_place_for_0() -> None:
    figure = sweep_figure(SERIES, PUBLISHED, over="beta", metric="squared_error")
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_yscale()) == ("beta", "squared error", "linear")
    assert list(axes.get_xticks()) == [0.0, 1e-3, 0.1, 1.0]
    at = axes.transData.transform([(x, 4.0) for x in (0.0, 1e-3, 1e-2, 0.1, 1.0)])[:, 0]
    np.testing.assert_allclose(np.diff(at)[1:], np.diff(at)[1], rtol=1e-6)
    assert np.diff(at)[0] > 0
    assert "0.001" in as_svg(figure)
    assert as_svg(figure) == as_svg(sweep_figure(SERIES, PUBLISHED, over="beta", metric="squared_error"))


def test_labels_are_short() -> None:
    points = {"MAML": [Point(x, 3.0) for x in (0, 5e-5, 1e-4, 1e-3, 0.5, 20)]}
    figure = sweep_figure(points, over="beta", metric="squared_error")
    figure.draw_without_rendering()
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["0", "5e-5", "1e-4", "0.001", "0.5", "20"]


def test_what_almost_diverged_does_not_hide_the_others() -> None:
    points = {"MAML": [Point(0, 8.0), Point(1, 1e6)]}
    assert sweep_figure(points, over="test steps", metric="squared_error").axes[0].get_yscale() == "log"
    accuracies = {"MAML": [Point(0, 1.0), Point(1, 99.0)]}
    axes = sweep_figure(accuracies, over="test steps", metric="accuracy").axes[0]
    assert (axes.get_yscale(), axes.get_ylabel()) == ("linear", "accuracy, %")


def test_nothing_to_draw() -> None:
    for points in ({}, {"MAML": []}):
        with pytest.raises(NopalError, match="expected some, all of them 0 or more"):
            sweep_figure(points, PUBLISHED, over="beta", metric="accuracy")
    with pytest.raises(NopalError, match=r"at the values \[-1.0\] of beta"):
        sweep_figure({"MAML": [Point(-1.0, 3.0)]}, over="beta", metric="accuracy")
