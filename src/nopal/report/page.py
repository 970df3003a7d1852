"""One HTML page that holds everything it shows: no scripts, no fonts to fetch, light and dark, readable on a phone."""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import itertools
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from nopal.errors import NopalError

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
    """A heading (may be empty) over paragraphs of plain text, tables and pictures; neighbouring pictures stand side by side."""

    heading: str
    parts: Sequence[str | Markup | Picture]


def report_page(title: str, sections: Iterable[Section]) -> str:
    """The whole page; same figures and words, same bytes."""
    salt = itertools.count()
    body = "\n".join(_section(section, salt) for section in sections)
    title = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<header>{_CACTUS}<h1>{title}</h1></header>\n{body}\n</main>\n</body>\n</html>\n"
    )


def write_page(path: str | os.PathLike[str], page: str) -> None:
    """Write beside `path`, then rename: a reader never sees half a page. Raises `NopalError` where that is impossible."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(page, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise NopalError(f"The report cannot be written to {path} ({error.strerror}); name a file in a writable folder.") from error


def _section(section: Section, salt: Iterable[int]) -> str:
    heading = f"<h2>{html.escape(section.heading)}</h2>\n" if section.heading else ""
    blocks = []
    for pictures, parts in itertools.groupby(section.parts, lambda part: isinstance(part, Picture)):
        if pictures:
            blocks.append('<div class="pictures">' + "".join(_picture(part, salt) for part in parts) + "</div>")
        else:
            blocks += [part if isinstance(part, Markup) else f"<p>{html.escape(part)}</p>" for part in parts]
    return f"<section>\n{heading}" + "\n".join(blocks) + "\n</section>"


def _picture(picture: Picture, salt: Iterable[int]) -> str:
    caption = f"<figcaption>{html.escape(picture.caption)}</figcaption>" if picture.caption else ""
    return f"<figure>{_svg(picture, next(iter(salt)))}{caption}</figure>"


def _svg(picture: Picture, salt: int) -> str:
    """The figure as inline SVG. Ids differ from figure to figure, for a page has one name space for all of them."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": f"nopal-{salt}"}):
        picture.figure.savefig(buffer, format="svg", dpi=160, transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg).replace(INK, "currentColor")
    svg = re.sub(r'data:image/png;base64,([^"]+)', lambda match: _as_webp(match[1]), svg)
    view = re.search(r'viewBox="[^"]*"', svg)
    assert view
    width = 96 * picture.figure.get_figwidth()
    opening = f'<svg role="img" aria-label="{html.escape(picture.alt)}" {view[0]} style="max-width:{width:.0f}px">'
    return re.sub(r"<svg[^>]*>", lambda _: opening, svg, count=1).strip()


def _as_webp(png: str) -> str:
    """A sheet of photographs shrinks to a tenth; drawings to a third."""
    buffer = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(png))).save(buffer, format="WEBP", quality=88, method=6)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


_CACTUS = (
    '<svg class="mark" viewBox="0 0 40 44" aria-hidden="true"><g fill="var(--pad)"><ellipse cx="20" cy="31" rx="9" ry="12"/>'
    '<ellipse cx="9.500" cy="14" rx="6.500" ry="9.500" transform="rotate(-28 9.500 14)"/>'
    '<ellipse cx="30" cy="13.500" rx="6" ry="9" transform="rotate(26 30 13.500)"/></g><g fill="var(--pear)">'
    '<ellipse cx="34.500" cy="3.800" rx="2.600" ry="3.400" transform="rotate(26 34.500 3.800)"/>'
    '<ellipse cx="4.400" cy="4.200" rx="2.600" ry="3.400" transform="rotate(-28 4.400 4.200)"/></g></svg>'
).replace("00", "")

_STYLE = """
:root { color-scheme: light dark; --page: #fcfbf8; --text: #24292a; --faint: #667069; --line: #dfe0d8; --bar: #d9ead9;
  --pad: #3d8b5a; --pear: #cc3a78; }
@media (prefers-color-scheme: dark) { :root { --page: #161a18; --text: #e4e8e3; --faint: #98a39b; --line: #333a36;
  --bar: #274233; --pad: #58ae78; --pear: #e0659a; } }
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
th, td { padding: .42rem .75rem; text-align: left; vertical-align: baseline; border-bottom: 1px solid var(--line); }
thead th { color: var(--faint); font-weight: 500; font-size: .82rem; vertical-align: bottom; }
tbody th { font-weight: 600; }
.score { text-align: right; white-space: nowrap; }
td.score { background: linear-gradient(to right, var(--bar) var(--share, 0%), transparent 0) no-repeat 0 50% / 100% 62%; }
td.score small { color: var(--faint); font-size: .85em; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1rem 2rem;
  align-items: start; margin: 1.2rem 0; }
figure { margin: 0; min-width: 0; }
figure svg { display: block; width: 100%; height: auto; overflow: visible; }
figure svg text { font-family: inherit !important; }
figcaption { max-width: 44rem; margin-top: .5rem; color: var(--faint); font-size: .88rem; }
"""
