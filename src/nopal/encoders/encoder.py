"""What an encoder is: images in, one vector each out; fitted once, then saved with what made it."""

from __future__ import annotations

import abc
import dataclasses
import json
import math
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Shaped

from nopal.archive import read_archive, write_archive
from nopal.data.images import as_float
from nopal.errors import NopalError

E = TypeVar("E", bound="Encoder")

KIND = "nopal encoder 1"
BATCH = 1024
"""Images at most that are embedded at once."""
NUMBERS = 2**20
"""Numbers in them at most: a network's feature maps should not leave a CPU's cache by far."""


class Encoder(eqx.Module):
    """`encoder(images)` are the embeddings of images of the one `shape` that it was fitted on.

    A subclass has `embed` and fields that are arrays, and is made by its `fit`; one whose fields are networks also says
    how to make them `blank`. The file of `save` holds the arrays; its `made` is a JSON object with `encoder` (the name
    of the class), `options`, `shape`, `images` (how many it was fitted on) and `data` (the caller's words about them).
    See `nopal.archive`.
    """

    shape: tuple[int, int, int] = eqx.field(static=True)
    record: str = eqx.field(static=True)
    classes: ClassVar[dict[str, type[Encoder]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        Encoder.classes[cls.__name__] = cls

    @abc.abstractmethod
    def embed(self, x: Float[Array, "b h w c"]) -> Float[Array, "b d"]:
        """Vectors of images in [0, 1]; pure, so that it can be compiled."""

    @property
    def made(self) -> dict[str, Any]:
        """What made the encoder."""
        return json.loads(self.record)

    def noting(self: E, **facts: Any) -> E:
        """This encoder, with more that JSON can hold in what made it: such as the `seconds` that its training took."""
        return dataclasses.replace(self, record=json.dumps(self.made | facts))

    @property
    def dimensions(self) -> int:
        """d, the width of a vector."""
        return jax.eval_shape(self.embed, jnp.zeros((1, *self.shape))).shape[1]

    def __call__(self, images: Shaped[Array | np.ndarray, "n h w c"]) -> Float32[np.ndarray, "n d"]:
        """Embeddings of bytes, or of numbers in [0, 1]; raises `NopalError` for images of another shape."""
        if images.shape[1:] != self.shape:
            raise NopalError(
                f"The images have shape {images.shape[1:]}, but this encoder was fitted on {self.shape} (height, "
                "width, channels); resize them, or fit it again."
            )
        return self.vectors(images)

    def vectors(self, images: Shaped[Array | np.ndarray, "n h w c"]) -> Float32[np.ndarray, "n d"]:
        """`embed` in batches, so that memory stays bounded."""
        found = [np.asarray(_embed(self, batch)) for batch in in_batches(images)]
        return np.concatenate(found or [np.zeros((0, self.dimensions))]).astype(np.float32)

    def save(self, path: str | Path) -> Path:
        """Write one `.npz` (beside, then renamed); raises `NopalError` where that is impossible."""
        return write_archive(path, KIND, self.made, {name: np.asarray(a) for name, a in _named(self).items()})

    @classmethod
    def blank(cls, shape: tuple[int, int, int], record: str, arrays: dict[str, Array]) -> Encoder:
        """An encoder of the structure that `record` describes; where fields are arrays, with those of the file."""
        return cls(shape=shape, record=record, **arrays)


class Decodable(Encoder):
    """An encoder whose vectors can be turned into images again."""

    @abc.abstractmethod
    def decode(self, vectors: Float[Array, "b d"]) -> Float[Array, "b h2 w2 c"]:
        """Images in [0, 1]; pure, so that it can be compiled."""

    @abc.abstractmethod
    def seen(self, images: Shaped[Array | np.ndarray, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        """Images in [0, 1] as they were trained on, so of the size of decoded ones."""


def in_batches(images: Shaped[Array | np.ndarray, "n h w c"]) -> list[Shaped[Array | np.ndarray, "b h w c"]]:
    """The images in parts small enough to be taken at once."""
    size = max(min(BATCH, NUMBERS // max(math.prod(images.shape[1:]), 1)), 1)
    return [images[i : i + size] for i in range(0, len(images), size)]


def _named(encoder: Encoder) -> dict[str, Array]:
    """Its arrays by where they are, such as "mean" or "decoder.last.0.kernel"."""
    leaves = jax.tree_util.tree_leaves_with_path(encoder)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


@eqx.filter_jit
def _embed(encoder: Encoder, images: Shaped[Array | np.ndarray, "b h w c"]) -> Float[Array, "b d"]:
    return encoder.embed(as_float(images))


def describe(encoder: str, images: Shaped[np.ndarray, "n h w c"], data: str, **options: Any) -> dict[str, Any]:
    """The two fields that every encoder has, as keyword arguments."""
    shape = images.shape[1:]
    made = {"encoder": encoder, "options": options, "shape": shape, "images": len(images), "data": data}
    return {"shape": shape, "record": json.dumps(made)}


def load_encoder(path: str | Path) -> Encoder:
    """Read what `Encoder.save` wrote; raises `NopalError` where the file is absent, damaged or inconsistent."""
    made, arrays = read_archive(path, KIND)
    try:
        height, width, channels = made["shape"]
        known = {name: jnp.asarray(a) for name, a in arrays.items()}
        blank = Encoder.classes[made["encoder"]].blank((height, width, channels), json.dumps(made), known)
        expected = {name: array.shape for name, array in _named(blank).items()}
        if expected != {name: array.shape for name, array in known.items()}:
            raise ValueError("its arrays are not those of its options")
        encoder = jax.tree.unflatten(jax.tree.structure(blank), [known[name] for name in expected])
        encoder.dimensions  # noqa: B018 (arrays that don't fit together are refused here)
    except (KeyError, TypeError, ValueError) as error:
        raise NopalError(
            f"{path} does not hold a whole encoder ({type(error).__name__}: {error}); fit it again."
        ) from None
    return encoder
