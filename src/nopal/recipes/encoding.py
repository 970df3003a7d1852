"""Encoders as options name them; those that are trained have a run folder of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeGuard

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from nopal.data.images import ImageSet
from nopal.distributed import check_same, from_first, is_first, several
from nopal.encoders import ACAI, PCA, ZCA, Encoder, Raw, load_encoder
from nopal.encoders.acai import fitted, initial_state
from nopal.recipes.loading import key_of
from nopal.recipes.options import EncoderOptions, to_plain
from nopal.recipes.watching import progress_of, refuse_fewer, watched
from nopal.report import image_grid
from nopal.runs import Interrupts, open_run
from nopal.runs.packing import pack, unpack
from nopal.runs.stopwatch import seconds_of


def is_trained(encoder: Any) -> TypeGuard[EncoderOptions]:
    """Whether these are the options of an encoder that is trained step by step."""
    return isinstance(encoder, EncoderOptions) and encoder.name == "acai"


def fit_encoder(
    images: ImageSet, options: EncoderOptions, data: str = "", *, folder: Path | None = None, resume: bool = False
) -> Encoder:
    """The encoder that `options` name, fitted on the images.

    One that is trained keeps metrics, checkpoints and pictures in `folder`, where there is one, and goes on from there
    with `resume`. Several processes train it together; any other encoder each fits alone.
    """
    if options.name == "raw":
        return Raw.fit(images.images, data=data)
    if options.name == "zca":
        return ZCA.fit(images.images, data=data)
    if options.name != "acai":
        return PCA.fit(images.images, dimensions=options.dimensions, whiten=options.name == "pca_whitened", data=data)
    if folder is None:
        return ACAI.fit(images.images, key=key_of(options.seed), options=options.acai, data=data)
    return train_acai(images, options, data, folder, resume)


def train_acai(
    images: ImageSet, options: EncoderOptions, data: str, folder: Path, resume: bool, every: int = 500
) -> ACAI:
    """Train in a run folder, or go on from its last checkpoint; a finished encoder is returned as it is.

    Raises `Interrupted` after Ctrl-C and `NopalError` for a folder that is in use and where the loss is no number.
    """
    check_same(images.images, "images")
    options.acai.check(len(images))
    key, steps = key_of(options.seed), options.acai.steps
    refuse_fewer(folder, steps)
    config = {"encoder": to_plain(options), "shape": images.shape, "images": len(images), "every": every}
    run = open_run(folder, config, resume=resume, may_differ=["encoder.acai.steps"])
    finished = folder / "encoder.npz"
    if not several() and finished.exists():
        found = load_encoder(finished)
        if isinstance(found, ACAI) and found.options == options.acai:
            return found
    start = run.checkpoints.latest() or 0
    state = initial_state(images.shape[2], options.acai, jax.random.split(key)[0])
    if start:
        state = run.checkpoints.restore(state, start)
    elif several():
        state = unpack(from_first(lambda: {"bytes": pack(state)})["bytes"], state)
    with (
        watched(run, steps, start) as (_, hooks),
        progress_of(steps, start, "ACAI") as progress,
        Interrupts(run.checkpoints) as interrupts,
    ):
        encoder = ACAI.fit(
            images.images,
            key=key,
            options=options.acai,
            hooks=[*hooks(), *progress, interrupts],
            chunk=min(every, 20),
            state=state,
            start=start,
            data=data,
        )
    if is_first():
        draw_encoder(encoder, images, folder)
        encoder = encoder.noting(seconds=seconds_of(folder))
        encoder.save(finished)
    return encoder


def draw_encoder(encoder: ACAI, images: ImageSet, folder: Path) -> None:
    """`reconstructions.png` and `interpolations.png`, of images from all over the data."""
    chosen = images.images[np.linspace(0, len(images) - 1, 12).astype(int)]
    shown, z = np.asarray(fitted(chosen, encoder.options.width)), encoder(chosen)
    decoded = np.asarray(_decode(encoder, jnp.asarray(z)))
    figure = image_grid(np.stack([shown, decoded]), ["image", "decoded"])
    figure.savefig(folder / "reconstructions.png", dpi=120)
    share = np.linspace(0, 1, 9)[:, None]
    between = [(1 - share) * one + share * other for one, other in zip(z[::2], z[1::2])]
    rows = [np.asarray(_decode(encoder, jnp.asarray(row, jnp.float32))) for row in between]
    image_grid(np.stack(rows)).savefig(folder / "interpolations.png", dpi=120)


_decode = eqx.filter_jit(ACAI.decode)
