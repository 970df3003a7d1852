"""One image file, brought to bytes of the size and the colours that are wanted."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageOps

from nopal.data.resizing import resize
from nopal.errors import NopalError

Color = Literal["keep", "grey", "rgb"]
_LUMA = np.array([[0.299], [0.587], [0.114]], np.float32)  # ITU-R 601, as everywhere


class UnreadableImage(NopalError):
    """A file that is there, but can't be read as an image."""


def kind_of(path: Path) -> Literal["file", "folder"] | None:
    """What there is at a path; raises `NopalError` where that can't be known, as with names that are too long."""
    try:
        return "folder" if stat.S_ISDIR(path.stat().st_mode) else "file"
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise NopalError(f"{path} can't be opened ({error.strerror}); check its name and permissions.") from None


def load_image(path: str | os.PathLike[str], shape: tuple[int, int, int]) -> UInt8[np.ndarray, "h w c"]:
    """One image brought to `shape` (height, width, channels: 1 is grey, 3 is colour) exactly as `folder` does it.

    Raises `NopalError` for a file that is missing or can't be read.
    """
    *size, channels = shape
    if channels not in (1, 3):
        raise NopalError(f"An image of {channels} channels is asked for; files are read with 1 (grey) or 3 (colour).")
    file = Path(path).expanduser()
    if kind_of(file) != "file":
        raise NopalError(f"There is no image file {file}; check the path.")
    image = read_image(file, checked_size(tuple(size)), "grey" if channels == 1 else "rgb")
    if isinstance(image, NopalError):
        raise image
    return image


def read_image(
    path: Path, size: tuple[int, int] | None, color: Color, content: bytes | None = None
) -> UInt8[np.ndarray, "h w c"] | UnreadableImage:
    """The image, or the error that tells what is wrong; `"keep"` gives one channel where no colour shows.

    Where `content` is given, `path` is only its name.
    """
    try:
        with Image.open(path if content is None else io.BytesIO(content)) as image:
            pixels = _pixels(ImageOps.exif_transpose(image))
    except Exception as error:  # what Pillow raises for damaged files goes from SyntaxError to struct.error
        unknown = isinstance(error, Image.UnidentifiedImageError)
        why = "it is no image that Pillow knows" if unknown else str(error).split("\n")[0]
        mend = "scale them" if isinstance(error, NopalError) else "repair it"
        return UnreadableImage(f"The image {path} can't be read ({why}); {mend} or take it away.")
    if color == "grey" and pixels.shape[2] == 3:
        pixels = pixels @ _LUMA
    elif color == "keep" and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., :1]
    resized = resize(pixels[None], size or pixels.shape[:2])[0]
    return np.repeat(resized, 3, axis=2) if color == "rgb" and resized.shape[2] == 1 else resized


def checked_size(size: int | tuple[int, ...] | None) -> tuple[int, int] | None:
    """Height and width; raises `NopalError` where they are none."""
    both = (size, size) if isinstance(size, int) else size
    if both is None:
        return None
    if len(both) != 2 or min(both) < 1:
        raise NopalError(f"The size is {size}; expected at least 1 pixel, for instance size=84 or size=(64, 96).")
    return both[0], both[1]


def _pixels(image: Image.Image) -> UInt8[np.ndarray, "h w c"] | Float[np.ndarray, "h w 1"]:
    """Values from 0 to 255, with one channel or three; deeper ones as fractions, so that they are rounded but once."""
    if image.mode[0] in "IF":
        values = np.asarray(image)[..., None].astype(np.float32)
        top = 1 if image.mode == "F" else 65535
        if not (values.min() >= 0 and values.max() <= top):
            raise NopalError(f"its values go from {values.min():g} to {values.max():g}; expected 0 to {top}")
        return values * (255 / top)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    return np.atleast_3d(np.asarray(image))
