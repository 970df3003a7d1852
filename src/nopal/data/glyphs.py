"""Letters of many scripts, drawn as if by hand from the fonts that come with matplotlib: nothing to download.

A letter is thinned to the path that a pen would follow; each example bends that path and draws it with a pen of its own
width, which gives images like Omniglot's (Lake et al. 2015, "Human-level concept learning through probabilistic program
induction"), about as hard for nearest neighbours.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Bool, Float, UInt8
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont, ImageOps

from nopal.data.download import cached
from nopal.data.images import ImageSet, Splits
from nopal.errors import NopalError

VERSION = 1  # of the images: with a new number, caches of older ones are not read
FONTS = ("DejaVuSans.ttf", "STIXGeneral.ttf")  # never LastResort, which claims every code point
SCRIPTS = {  # as Unicode names them; of letters that look alike the first stays, so large scripts come last
    "test": ("GEORGIAN", "ARMENIAN", "HEBREW", "LAO", "TIFINAGH"),
    "validation": ("ARABIC", "NKO"),
    "train": (
        *("OGHAM", "OLD ITALIC", "COPTIC", "LISU", "GREEK", "CYRILLIC", "CANADIAN SYLLABICS", "LATIN"),
        *("MATHEMATICAL FRAKTUR", "MATHEMATICAL SCRIPT"),
    ),
}
ALIKE = 0.88  # cosine of two blurred paths from which on they are one letter
GRID, BOX = 64, 48  # a path lies on GRID x GRID pixels; its longer side is BOX of them
CANVAS = 84  # examples are drawn at this size and then averaged over areas


class Letter(NamedTuple):
    """A letter, its script in lower case, and the pixels of its path, one pixel wide and centred."""

    character: str
    script: str
    path: Bool[np.ndarray, "g g"]

    @property
    def name(self) -> str:
        return f"{self.script}/{self.character} U+{ord(self.character):04X}"


def load(size: int = 28, examples: int = 20, seed: int = 0) -> Splits:
    """More than 1,000 letters as grey images (ink 255 on 0), split by script: no script is in two splits.

    Images are `[classes * examples, size, size, 1]`, class by class; classes have names like 'greek/α U+03B1'. They are
    drawn at 84x84 and averaged down (or enlarged), which takes seconds, and kept in the cache folder.
    Raises `NopalError` for a `size` below 8, less than one of `examples`, or a negative seed.
    """
    if size < 8:
        raise NopalError(f"The size of the glyphs is {size}; letters need at least 8 pixels, so ask for 8 or more.")
    if examples < 1:
        raise NopalError(f"Glyphs were asked for with {examples} examples of each letter; ask for 1 or more.")
    if seed < 0:
        raise NopalError(f"The seed of the glyphs is {seed}; give a whole number from 0.")

    def compute() -> dict[str, np.ndarray]:
        arrays = {}
        for split, found in letters().items():
            arrays[split] = np.concatenate([drawings(letter, size, examples, seed) for letter in found])
            arrays[f"{split}_classes"] = np.array([letter.name for letter in found])
        return arrays

    name = f"glyphs-v{VERSION}-{size}-{examples}-{seed}-matplotlib-{matplotlib.__version__}"
    arrays = cached(name, _fonts(), compute)
    sets = {}
    for split in SCRIPTS:
        classes = tuple(arrays[f"{split}_classes"].tolist())
        sets[split] = ImageSet(arrays[split], np.repeat(np.arange(len(classes)), examples), classes)
    return Splits(**sets)


def letters() -> dict[str, list[Letter]]:
    """The letters of each split, in the order of `SCRIPTS` and then of code points; no two of them look alike."""
    found = _candidates()
    paths = _thinned(np.stack([ink for _, _, _, ink in found]))
    offsets = np.arange(GRID)
    blur = np.exp(-0.5 * ((offsets[::2, None] - offsets) / 2) ** 2)
    looks = (blur @ paths @ blur.T).reshape(len(paths), -1)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    alike = looks @ looks.T >= ALIKE

    kept: list[int] = []
    chosen: dict[str, list[Letter]] = {split: [] for split in SCRIPTS}
    for i, (split, script, character, _) in enumerate(found):
        a_dot = paths[i].sum() < BOX / 2
        if not a_dot and not alike[i, kept].any():
            kept.append(i)
            chosen[split].append(Letter(character, script.lower(), paths[i]))
    return chosen


def drawings(letter: Letter, size: int, examples: int, seed: int) -> UInt8[np.ndarray, "examples size size 1"]:
    """`examples` drawings of a letter by different hands; they depend on nothing but the arguments."""
    random = np.random.default_rng([seed, ord(letter.character)])
    points = (np.argwhere(letter.path) - (GRID - 1) / 2) / (BOX / 2)  # [n, (y, x)] in [-1, 1]

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal((examples, *shape))

    waves, phases, amplitudes = 2 * normal(2, 6), random.uniform(0, 2 * np.pi, (examples, 1, 6)), 0.036 * normal(6, 2)
    points = points + np.sin(points @ waves + phases) @ amplitudes  # a smooth displacement

    angle, slant = 0.1 * normal(), 0.1 * normal()
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1)
    points = points @ rotation
    points[..., 1] += slant[:, None] * points[..., 0]
    points *= np.exp(-0.42 + 0.12 * normal(1, 1) + 0.12 * normal(1, 2))

    low, high = points.min(1, keepdims=True), points.max(1, keepdims=True)
    room = 0.88  # of half the canvas; the rest is for the width of the pen and an empty border
    half = (high - low) / 2
    shrink = np.minimum(1, room / np.maximum(half, 1e-6))
    free = room - half * shrink
    points = (points - (low + high) / 2) * shrink + np.clip(0.07 * normal(1, 2), -free, free)
    return _inked(points, random.integers(3, 6, examples), size)


def _inked(points: Float[np.ndarray, "e n 2"], pens: np.ndarray, size: int) -> UInt8[np.ndarray, "e size size 1"]:
    """Draws points of [-1, 1] with square pens of so many pixels of the canvas, and averages over areas."""
    rows, columns = np.rint((points + 1) / 2 * (CANVAS - 1)).astype(int).transpose(2, 0, 1)
    ink = np.zeros((len(points), CANVAS, CANVAS), np.uint8)
    corner = (pens // 2)[:, None]
    ink[np.arange(len(points))[:, None], rows - corner, columns - corner] = 255
    for width in range(2, pens.max() + 1):
        thick = ink.copy()
        thick[:, 1:] |= ink[:, :-1]
        thick[:, :, 1:] |= thick[:, :, :-1]
        ink = np.where((pens >= width)[:, None, None], thick, ink)
    strip = Image.fromarray(ink.reshape(-1, CANVAS))  # one image below the other: areas don't cross their borders
    strip = strip.resize((size, size * len(points)), Image.Resampling.BOX)
    return np.asarray(strip).reshape(-1, size, size, 1)


def _fonts() -> list[Path]:
    return [Path(matplotlib.get_data_path(), "fonts", "ttf", name) for name in FONTS]


def _candidates() -> list[tuple[str, str, str, Bool[np.ndarray, "g g"]]]:
    """Split, script, character and ink of every letter of `SCRIPTS` that a font can draw, in a fixed order."""
    fonts = {}
    for path in reversed(_fonts()):  # the first font that has a letter draws it
        font = ImageFont.truetype(path, 96, layout_engine=ImageFont.Layout.BASIC)
        fonts.update(dict.fromkeys(map(chr, FT2Font(path).get_charmap()), font))
    letters = [character for character in sorted(fonts) if unicodedata.category(character) in ("Lu", "Ll", "Lt", "Lo")]
    found = []
    for split, script in [(split, script) for split, members in SCRIPTS.items() for script in members]:
        for character in letters:
            of_script = unicodedata.name(character, "").startswith(script + " ")
            plain = unicodedata.decomposition(character).split(" ")[0] in ("", "<font>")  # no accents, no ligatures
            if of_script and plain and (ink := _ink(character, fonts[character])) is not None:
                found.append((split, script, character, ink))
    return found


def _ink(character: str, font: ImageFont.FreeTypeFont) -> Bool[np.ndarray, "g g"] | None:
    """A letter in black and white, scaled to `BOX` and centred; None where it is blank."""
    left, top, right, bottom = font.getbbox(character)
    image = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), character, fill=255, font=font)
    box = image.getbbox()
    if box is None:
        return None
    image = ImageOps.pad(image.crop(box), (BOX, BOX), Image.Resampling.BILINEAR)
    return np.asarray(ImageOps.expand(image, (GRID - BOX) // 2)) > 127


def _thinned(ink: Bool[np.ndarray, "n g g"]) -> Bool[np.ndarray, "n g g"]:
    """Shapes worn down to lines one pixel wide, all together (Guo & Hall 1989, "Parallel thinning with two-subiteration
    algorithms"). Their borders must be empty."""
    ink = ink.copy()
    around = [(-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1)]  # clockwise from the north
    active = np.arange(len(ink))
    while len(active):
        before = ink[active]
        after = before
        for removable in _REMOVABLE:
            code = sum(np.roll(after, (-y, -x), (1, 2)).astype(np.uint8) << k for k, (y, x) in enumerate(around))
            after = after & ~removable[code]
        ink[active] = after
        active = active[(before != after).any((1, 2))]
    return ink


def _removable() -> Bool[np.ndarray, "2 256"]:
    """May a pixel go? For both half-steps and every neighbourhood (a bit a neighbour, clockwise from the north)."""
    n, ne, e, se, s, sw, w, nw = (np.arange(256)[None] >> np.arange(8)[:, None] & 1).astype(bool)
    branches = sum((~a & (b | c)).astype(int) for a, b, c in ((n, ne, e), (e, se, s), (s, sw, w), (w, nw, n)))
    pairs = [((nw, n), (ne, e), (se, s), (sw, w)), ((n, ne), (e, se), (s, sw), (w, nw))]
    neighbours = np.minimum(*(sum((a | b).astype(int) for a, b in pairing) for pairing in pairs))
    inside = (branches == 1) & (neighbours >= 2) & (neighbours <= 3)
    return np.stack([inside & ~((s | sw | ~nw) & w), inside & ~((n | ne | ~se) & e)])


_REMOVABLE = _removable()
