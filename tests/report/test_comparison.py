"""Own numbers beside published ones, as a picture."""

import pytest

from nopal.errors import NopalError
from nopal.report import Row, as_svg, comparison_figure


def score(mean, published=None, way=5):
    return {"metric": "accuracy", "way": way, "shot": 1, "mean": mean, "ci95": 0.5, "published": published}


def test_a_panel_for_each_difficulty_and_a_mark_for_each_number():
    rows = [
        Row("measured", [score(60.0, 70.0), score(20.0, way=20)], "none"),
        Row("only published", [score(None, 5.0)], ""),
    ]
    figure = comparison_figure(rows)
    five, twenty = figure.axes
    assert (five.get_title(), twenty.get_title()) == ("5-way 1-shot", "20-way 1-shot")
    assert [label.get_text() for label in five.get_yticklabels()] == ["measured", "only published"]
    rings = [line for line in five.lines if line.get_fillstyle() == "none"]
    assert sorted((line.get_xdata()[0], line.get_ydata()[0]) for line in rings) == [(5.0, 1), (70.0, 0)]
    dots = [line for line in five.lines if line.get_fillstyle() != "none" and line.get_marker() == "o"]
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in dots] == [(60.0, 0)]
    assert as_svg(comparison_figure(rows)) == as_svg(figure)


def test_errors_have_an_axis_of_logarithms_with_plain_numbers():
    errors = [
        {"metric": m, "way": None, "shot": None, "points": 15, "mean": x}
        for m, x in (("squared_error", 3.0), ("squared_arc", 0.5))
    ]
    more = [score | {"mean": 2 * score["mean"]} for score in errors]
    figure = comparison_figure([Row("one", errors, "none"), Row("other", more, "none")])
    assert [panel.get_title() for panel in figure.axes] == ["15 points\nsquared error", "15 points\nsquared arc"]
    figure.canvas.draw()
    for panel, shown in zip(figure.axes, ("5", "0.5")):
        assert panel.get_xscale() == "log"
        labels = [tick.get_text() for tick in panel.get_xticklabels()]
        assert shown in labels
        assert not any("times" in label or "^" in label for label in labels)


def test_rows_of_one_name_are_told_apart_by_their_budget():
    budgets = ("1,000 of 30,000 steps", "5,000 of 30,000 steps, encoder 25,000 steps", "no training")
    rows = [Row(name, [score(60.0)], "none", {"budget": text}) for name, text in zip(("MAML", "MAML", "kNN"), budgets)]
    names = [label.get_text() for label in comparison_figure(rows).axes[0].get_yticklabels()]
    assert names == ["MAML: 1,000 steps", "MAML: 5,000 steps, encoder 25,000 steps", "kNN"]


def test_nothing_to_draw():
    with pytest.raises(NopalError, match="None of the rows has a score"):
        comparison_figure([])
