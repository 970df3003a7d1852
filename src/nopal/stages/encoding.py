"""Encoders as options name them; those that are trained have a run folder of their own."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeGuard

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from nopal.data.images import ImageSet
from nopal.distributed import check_same, from_first, is_first, several
from nopal.encoders import (
    ACAI,
    PCA,
    ZCA,
    BiGAN,
    Classifier,
    Decodable,
    Encoder,
    Raw,
    acai,
    bigan,
    classifier,
    load_encoder,
)
from nopal.options.experiment import EncoderOptions
from nopal.options.plain import to_plain
from nopal.report import image_grid, write_picture
from nopal.runs import Interrupts, open_run
from nopal.runs.files import read_json
from nopal.runs.folder import CONFIG
from nopal.runs.packing import pack, unpack
from nopal.runs.stopwatch import seconds_of
from nopal.stages.beginning import digest_of
from nopal.stages.loading import key_of
from nopal.stages.watching import progress_of, refuse_fewer, watched


def is_trained(encoder: Any) -> TypeGuard[EncoderOptions]:
    """Whether these are the options of an encoder that is trained step by step."""
    return isinstance(encoder, EncoderOptions) and encoder.training is not None


def fit_encoder(
    images: ImageSet, options: EncoderOptions, data: str = "", *, folder: Path | None = None, resume: bool = False
) -> Encoder:
    """The encoder that `options` name, fitted on the images.

    One that is trained keeps metrics, checkpoints and pictures in `folder`, where there is one, and goes on from there
    with `resume`. Several processes train it together; any other encoder each fits alone. Raises `NopalError` where one
    needs labels and there are none.
    """
    if options.name == "raw":
        return Raw.fit(images.images, data=data)
    if options.name == "zca":
        return ZCA.fit(images.images, data=data)
    if options.training is None:
        return PCA.fit(images.images, dimensions=options.dimensions, whiten=options.name == "pca_whitened", data=data)
    if folder is None:
        return _prepared(images, options)[0](key=key_of(options.seed, "encoder"), data=data)
    return train_encoder(images, options, data, folder, resume)


Trained = ACAI | BiGAN | Classifier
Fit = Callable[..., Trained]
"""What is left of an encoder's `fit` where images and options are given."""


def _prepared(images: ImageSet, options: EncoderOptions) -> tuple[Fit, Callable[[PRNGKeyArray], PyTree]]:
    """How an encoder is trained on the images, and what makes its first state, from a key; raises `NopalError` for
    options or images that it can't be trained with."""
    if options.name == "classifier":
        labels, choices = images.need_labels(), options.classifier
        choices.check(labels)
        shape, classes = images.shape, len(np.unique(labels))
        return (
            lambda **how: Classifier.fit(images.images, labels, options=choices, **how),
            lambda key: classifier.initial_state(shape, classes, choices, key),
        )
    if options.name == "bigan":
        options.bigan.check(len(images))
        return (
            lambda **how: BiGAN.fit(images.images, options=options.bigan, **how),
            lambda key: bigan.initial_state(math.prod(images.shape), options.bigan, key),
        )
    options.acai.check(len(images))
    return (
        lambda **how: ACAI.fit(images.images, options=options.acai, **how),
        lambda key: acai.initial_state(images.shape[2], options.acai, key),
    )


def train_encoder(
    images: ImageSet, options: EncoderOptions, data: str, folder: Path, resume: bool, every: int = 500
) -> Trained:
    """Train in a run folder, or go on from its last checkpoint; a finished encoder is returned as it is.

    Raises `Interrupted` after Ctrl-C and `NopalError` for a folder that is in use and where the loss is no number.
    """
    check_same(images.images, "images")
    fit, initial_state = _prepared(images, options)
    key, steps = key_of(options.seed, "encoder"), options.steps
    state = initial_state(jax.random.split(key)[0])
    # How small the steps of a bidirectional GAN are depends on how many there will be.
    fixed = options.name == "bigan"
    if resume and not fixed:
        refuse_fewer(folder, steps)
    config = {"encoder": to_plain(options), "shape": images.shape, "images": len(images), "every": every}
    digests = {"digest": digest_of(images.images)}
    if options.name == "classifier":
        digests["labels"] = digest_of(images.need_labels())
    config |= digests
    may_differ = [] if fixed else [f"encoder.{options.name}.steps"]
    if (folder / CONFIG).exists():
        may_differ += digests.keys() - read_json(folder / CONFIG).keys()  # begun before they were written down
    run = open_run(folder, config, resume=resume, may_differ=may_differ)
    finished = folder / "encoder.npz"
    if not several() and finished.exists():
        found = load_encoder(finished)
        if isinstance(found, Trained) and found.options == options.training:
            return found
    start = run.checkpoints.latest() or 0
    if start:
        state = run.checkpoints.restore(state, start)
    elif several():
        state = unpack(from_first(lambda: {"bytes": pack(state)})["bytes"], state)
    with (
        watched(run, steps, start, advice=f"lower --encoder.{options.name}.rate") as (_, hooks),
        progress_of(steps, start, options.name) as progress,
        Interrupts(run.checkpoints) as interrupts,
    ):
        encoder = fit(
            key=key,
            data=data,
            hooks=[*hooks(), *progress, interrupts],
            chunk=min(every, 20),
            state=state,
            start=start,
        )
    if is_first():
        if isinstance(encoder, Decodable):
            draw_encoder(encoder, images, folder)
        encoder = encoder.noting(seconds=seconds_of(folder))
        encoder.save(finished)
    return encoder


def draw_encoder(encoder: Decodable, images: ImageSet, folder: Path) -> None:
    """`reconstructions.png` and `interpolations.png`, of images from all over the data."""
    chosen = images.images[np.linspace(0, len(images) - 1, 12).astype(int)]
    shown, z = np.asarray(encoder.seen(chosen)), encoder(chosen)
    decoded = np.asarray(_decode(encoder, jnp.asarray(z)))
    figure = image_grid(np.stack([shown, decoded]), ["image", "decoded"])
    write_picture(figure, folder / "reconstructions.png", dpi=120)
    share = np.linspace(0, 1, 9)[:, None]
    between = [(1 - share) * one + share * other for one, other in zip(z[::2], z[1::2])]
    rows = [np.asarray(_decode(encoder, jnp.asarray(row, jnp.float32))) for row in between]
    write_picture(image_grid(np.stack(rows)), folder / "interpolations.png", dpi=120)


@eqx.filter_jit
def _decode(encoder: Decodable, vectors: Float[Array, "b d"]) -> Float[Array, "b h w c"]:
    return encoder.decode(vectors)
