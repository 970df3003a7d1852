import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.report.curves import curves_figure, read_metrics


@pytest.fixture
def metrics(tmp_path):
    def write(text):
        path = tmp_path / "metrics.csv"
        path.write_text(text)
        return path

    return write


SHORT = "step,loss,score,validation_score\n10,1.5,0.25,\n20,1.0,0.5,0.4\n"


def test_empty_cells_are_read_as_nan(metrics):
    table = read_metrics(metrics(SHORT))
    np.testing.assert_array_equal(table["score"], [0.25, 0.5])
    np.testing.assert_array_equal(table["validation_score"], [np.nan, 0.4])


def test_accuracies_are_drawn_in_percent_with_validation_as_dots(metrics):
    figure = curves_figure({"MAML": metrics(SHORT)})
    logged, smooth, dots = figure.axes[0].lines
    for line in (logged, smooth):  # two points are too few to smooth
        np.testing.assert_allclose(line.get_xydata(), [[10, 25], [20, 50]])
    np.testing.assert_allclose(dots.get_xydata(), [[20, 40]])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["MAML", "validation tasks"]
    assert figure.axes[0].get_ylabel() == "accuracy, %"


def test_losses_and_other_scores_are_drawn_as_they_are(metrics):
    path = metrics(SHORT)
    assert curves_figure({"a": path}, metric="loss").axes[0].lines[0].get_ydata().tolist() == [1.5, 1.0]
    figure = curves_figure({"a": path}, metric="squared_error")
    assert figure.axes[0].lines[0].get_ydata().tolist() == [0.25, 0.5]
    assert figure.axes[0].get_ylabel() == "squared error"


def test_the_strong_line_is_a_moving_average_that_keeps_a_straight_line_straight(metrics):
    rows = "".join(f"{i},0,{i / 1000 + (-1) ** i * 0.1}\n" for i in range(90))
    _, smooth = curves_figure({"a": metrics("step,loss,score\n" + rows)}).axes[0].lines
    inner = slice(3, -3)  # a window of seven has an odd one out, which weighs a seventh
    error = smooth.get_ydata()[inner] - 100 * np.arange(90)[inner] / 1000
    np.testing.assert_allclose(np.abs(error), 10 / 7, rtol=1e-6)


def test_long_runs_are_thinned_by_means(metrics):
    rows = "".join(f"{i},0,{i % 2}\n" for i in range(3000))
    logged, _ = curves_figure({"a": metrics("step,loss,score\n" + rows)}).axes[0].lines
    assert logged.get_ydata().tolist() == [50.0] * 300
    assert logged.get_xdata()[:2].tolist() == [4.5, 14.5]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is damaged"),
        ("step,score\n1,0.5\n2", "is damaged"),
        ("step,score\n1,many\n", "is damaged"),
        ("step,loss\n1,0.5\n", "has the columns step, loss; expected step and score"),
        ("step,score\n1,\n", "has 0 numbers in its column score"),
    ],
)
def test_bad_metrics_are_refused(metrics, text, said):
    with pytest.raises(NopalError, match=said):
        curves_figure({"a": metrics(text)})


def test_missing_metrics_are_refused(tmp_path):
    with pytest.raises(NopalError, match=r"Cannot read .*metrics\.csv \(No such file or directory\)"):
        curves_figure({"a": tmp_path / "metrics.csv"})
