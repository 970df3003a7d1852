"""Where examples come from: folders of images, arrays, and data sets by name."""

from nopal.data import glyphs, mini_imagenet, mnist, omniglot
from nopal.data.arrays import load_arrays, load_vectors, save_arrays
from nopal.data.folders import folder
from nopal.data.images import ImageSet, Splits, as_float
from nopal.data.reading import load_image

__all__ = [
    "ImageSet",
    "Splits",
    "as_float",
    "folder",
    "glyphs",
    "load_arrays",
    "load_image",
    "load_vectors",
    "mini_imagenet",
    "mnist",
    "omniglot",
    "save_arrays",
]
