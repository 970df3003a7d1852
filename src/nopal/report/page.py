"""One HTML page that holds everything it shows: no scripts, no fonts to fetch, light and dark, readable on a phone."""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import itertools
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from nopal.runs.files import write_file, write_text

INK = "#2b2f2d"
"""Figures that draw their text and axes in this colour follow the page from light to dark."""


class Markup(str):
    """HTML that is already escaped, such as a table."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """A figure, `alt` saying in words what it shows, and a caption."""

    figure: Figure
    alt: str
    caption: str = ""


@dataclasses.dataclass(frozen=True)
class Section:
    """A heading (or "") over paragraphs of plain text, tables, and pictures: neighbouring ones stand side by side."""

    heading: str
    parts: Sequence[str | Markup | Picture]


def report_page(title: str, sections: Iterable[Section]) -> str:
    """The whole page; same figures and words, same bytes."""
    numbers = itertools.count()
    body = "\n".join(_section(section, numbers) for section in sections)
    title = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<header>{_CACTUS}<h1>{title}</h1></header>\n{body}\n</main>\n</body>\n</html>\n"
    )


def write_page(path: str | os.PathLike[str], page: str) -> None:
    """The page is there whole or not at all; raises `NopalError` where it cannot be written."""
    write_text(Path(path), page)


def write_picture(figure: Figure, path: Path, dpi: int = 160) -> Path:
    """The figure as PNG, whole or not at all; raises `NopalError` where it cannot be written."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a box in the picture tells it better
        return write_file(path, lambda beside: figure.savefig(beside, format="png", dpi=dpi))


def _section(section: Section, numbers: Iterator[int]) -> str:
    blocks = [f"<h2>{html.escape(section.heading)}</h2>"] if section.heading else []
    for pictures, parts in itertools.groupby(section.parts, lambda part: isinstance(part, Picture)):
        group = "\n".join(_part(part, numbers) for part in parts)
        blocks.append(f'<div class="pictures">\n{group}\n</div>' if pictures else group)
    return "\n".join(["<section>", *blocks, "</section>"])


def _part(part: str | Markup | Picture, numbers: Iterator[int]) -> str:
    if isinstance(part, Picture):
        caption = f"<figcaption>{html.escape(part.caption)}</figcaption>" if part.caption else ""
        return f"<figure>{_svg(part, next(numbers))}{caption}</figure>"
    return part if isinstance(part, Markup) else f"<p>{html.escape(part)}</p>"


def _svg(picture: Picture, number: int) -> str:
    """The figure as inline SVG. Ids differ from figure to figure, for a page has one name space for all of them."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"nopal-{number}"}):
        picture.figure.savefig(buffer, format="svg", dpi=160, transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg).replace(INK, "currentColor")
    svg = re.sub(r'data:image/png;base64,([^"]+)', lambda match: _as_webp(match[1]), svg)
    label, width = html.escape(picture.alt), 110 * picture.figure.get_figwidth()

    def opening(match: re.Match[str]) -> str:
        return f'<svg role="img" aria-label="{label}" {match[1]} style="max-width:{width:.0f}px">'

    return re.sub(r'<svg[^>]*(viewBox="[^"]*")[^>]*>', opening, svg, count=1).strip()


def _as_webp(png: str) -> str:
    """The same picture, much smaller."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(png))).save(buffer, format="WEBP", quality=88)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


_CACTUS = """<svg class="mark" viewBox="0 0 40 44" aria-hidden="true"><g fill="var(--pad)">
<ellipse cx="20" cy="31" rx="9" ry="12"/><ellipse cx="9.5" cy="14" rx="6.5" ry="9.5" transform="rotate(-28 9.5 14)"/>
<ellipse cx="30" cy="13.5" rx="6" ry="9" transform="rotate(26 30 13.5)"/></g><g fill="var(--pear)">
<ellipse cx="34.5" cy="3.8" rx="2.6" ry="3.4" transform="rotate(26 34.5 3.8)"/>
<ellipse cx="4.4" cy="4.2" rx="2.6" ry="3.4" transform="rotate(-28 4.4 4.2)"/></g></svg>"""

_STYLE = """
:root { color-scheme: light dark; --page: #fcfbf8; --text: #24292a; --faint: #667069; --line: #dfe0d8;
  --pad: #3d8b5a; --pear: #cc3a78; }
@media (prefers-color-scheme: dark) { :root { --page: #161a18; --text: #e4e8e3; --faint: #98a39b; --line: #333a36;
  --pad: #58ae78; --pear: #e0659a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); -webkit-text-size-adjust: 100%;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
header { display: flex; align-items: center; gap: .9rem; padding-bottom: 1.1rem; border-bottom: 1px solid var(--line); }
.mark { flex: none; width: 2.6rem; }
h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; letter-spacing: -.015em; text-wrap: balance; }
h2 { margin: 2.6rem 0 .6rem; font-size: 1.2rem; letter-spacing: -.01em; }
p { max-width: 44rem; margin: .7rem 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: 1.2rem 0; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .5rem .7rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { color: var(--faint); font-weight: 500; font-size: .82rem; vertical-align: bottom; }
td:not(.score) { min-width: 6.5rem; }
th:first-child { padding-left: 0; }
tbody th { font-weight: 600; min-width: 9rem; position: sticky; left: 0; background: var(--page); }
.score { text-align: right; white-space: nowrap; }
td small { color: var(--faint); font-size: .85em; }
td i { display: block; height: 4px; margin: .15rem 0 .1rem; border-radius: 2px; min-width: 5rem;
  background: linear-gradient(to right, var(--pad) var(--share), var(--line) 0); }
.scroll ~ p { margin: .35rem 0; color: var(--faint); font-size: .85rem; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1rem 2rem;
  align-items: start; margin: 1.2rem 0; }
figure { margin: 0; min-width: 0; }
figure svg { display: block; width: 100%; height: auto; overflow: visible; }
figure svg text { font-family: inherit !important; }
figcaption { max-width: 44rem; margin-top: .5rem; color: var(--faint); font-size: .88rem; }
"""
