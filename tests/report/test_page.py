import base64
import functools
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from nopal.errors import NopalError
from nopal.report.contact_sheet import contact_sheet
from nopal.report.page import INK, Markup, Picture, Section, report_page, write_page

VOID = {"meta", "input", "br", "hr", "img"}


class Tree(HTMLParser):
    """Checks that tags are closed in order, and gathers tags and ids."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.ids = [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def line_figure():
    figure = Figure(figsize=(4, 3))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], "o-", color=INK)
    axes.set_title("5 < 6 & more", color=INK)
    return figure


@functools.cache
def example():
    sheet = contact_sheet(np.random.default_rng(0).random((5, 6, 28, 28, 3)), shot=1, title="A task")
    return report_page(
        "Cats & <dogs>",
        [
            Section("", ["An <b>introduction</b>."]),
            Section("Table <1>", [Markup("<table><tr><td>1</td></tr></table>"), "A legend."]),
            Section(
                "Figures", [Picture(line_figure(), 'a "line"', "It <rises>."), Picture(sheet, "a sheet"), "After."]
            ),
            Section("More", [Picture(line_figure(), "the same line")]),
        ],
    )


def test_words_are_escaped_and_markup_is_not():
    page = example()
    assert "<title>Cats &amp; &lt;dogs&gt;</title>" in page
    assert "<h1>Cats &amp; &lt;dogs&gt;</h1>" in page
    assert "<p>An &lt;b&gt;introduction&lt;/b&gt;.</p>" in page
    assert "<h2>Table &lt;1&gt;</h2>\n<table><tr><td>1</td></tr></table>\n<p>A legend.</p>" in page
    assert 'role="img" aria-label="a &quot;line&quot;"' in page
    assert "<figcaption>It &lt;rises&gt;.</figcaption>" in page
    assert "5 &lt; 6 &amp; more" in page
    assert page.count("<h2>") == 3


def test_the_page_is_well_formed_and_no_id_comes_twice():
    tree = Tree(example())
    assert tree.tags.count("figure") == 3
    assert tree.tags.count("section") == 4
    assert len(set(tree.ids)) == len(tree.ids) > 0


def test_every_reference_inside_a_figure_finds_its_id():
    page = example()
    references = re.findall(r'xlink:href="#([^"]+)"|url\(#([^)]+)\)', page)
    assert {a or b for a, b in references} <= set(Tree(page).ids)


def test_the_page_fetches_and_runs_nothing():
    page = example()
    tree = Tree(page)
    assert not {"script", "link", "iframe", "object"} & set(tree.tags)
    assert "http" not in page
    assert "@import" not in page
    assert all(target.startswith(("#", "data:image/")) for target in re.findall(r'(?:href|src)="\s*([^"]*)"', page))


def test_neighbouring_pictures_share_a_row():
    rows = re.findall(r'<div class="pictures">.*?</div>', example(), flags=re.DOTALL)
    assert [row.count("<figure>") for row in rows] == [2, 1]


def test_ink_follows_the_page_and_the_reader_chooses_light_or_dark():
    page = example()
    assert INK not in page
    assert "currentColor" in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_sheets_are_small_pictures_that_still_show_the_images():
    red_and_blue = np.zeros((2, 1, 8, 8, 3))
    red_and_blue[0, ..., 0] = red_and_blue[1, ..., 2] = 1
    page = report_page("Sheet", [Section("", [Picture(contact_sheet(red_and_blue, shot=1), "two colours")])])
    (data,) = re.findall(r"data:image/webp;base64,([^\"]+)", page)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"), int)
    if "scale(1 -1)" in page:  # the browser turns it over again
        pixels = pixels[::-1]
    height, width, _ = pixels.shape
    assert np.abs(pixels[height // 4, width // 2] - [255, 0, 0]).max() < 12
    assert np.abs(pixels[3 * height // 4, width // 2] - [0, 0, 255]).max() < 12
    assert len(page) < 20_000


def test_same_words_and_figures_give_the_same_bytes():
    assert example() == example.__wrapped__()


def test_a_page_is_written_whole_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "new" / "report.html"
    write_page(path, "old")
    write_page(path, "± new")
    assert path.read_text(encoding="utf-8") == "± new"
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_a_page_that_cannot_be_written_is_refused_and_nothing_is_left(tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(NopalError, match=r"report\.html cannot be written"):
        write_page(tmp_path / "report.html", "page")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
