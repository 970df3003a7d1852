"""Adversarially constrained autoencoder interpolation (Berthelot, Raffel, Roy, Goodfellow 2019, arXiv 1807.07543).

An autoencoder whose mixtures of two latent maps must decode to what a critic takes for a reconstruction, while the
critic learns to tell from the decoded mixture how much of each was in it: so the latent space becomes smooth. CACTUs
clusters the latent maps as they are.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Shaped

from nopal.data.images import as_float
from nopal.data.resizing import resizing_weights
from nopal.encoders.encoder import Decodable, describe, in_batches
from nopal.encoders.training import check_choices, check_images, run_steps
from nopal.errors import NopalError
from nopal.loop import Hook
from nopal.mapping import device_mesh, mean_over_tasks
from nopal.nets.autoencoder import PoolingEncoder, UpsamplingDecoder
from nopal.numerics.shuffling import epoch_rows


@dataclasses.dataclass(frozen=True)
class ACAIOptions:
    """How an autoencoder with adversarially constrained interpolation is made and trained; as published but for the
    number of steps."""

    steps: int = 25_000
    """steps of training; published: 262,144, which is 2 to the 24 images"""
    width: int = 32
    """images are padded or resized to this many pixels a side"""
    latent_width: int = 4
    """places a side of the latent map; width divided by a power of 2"""
    depth: int = 16
    """feature maps at full size, doubled at each halving"""
    latent: int = 16
    """feature maps of the latent map: a vector has latent_width * latent_width * latent numbers"""
    batch: int = 64
    """images in a step, an even number"""
    rate: float = 1e-4
    """step size of Adam"""
    weight: float = 0.5
    """weight of the critic in the autoencoder's loss"""
    regularisation: float = 0.2
    """how much of the image is mixed into the reconstruction that the critic is to score with 0"""

    @property
    def scales(self) -> int:
        """How often the size is halved; raises `NopalError` where `latent_width` is not reached so."""
        scales = (self.width // max(self.latent_width, 1)).bit_length() - 1
        if scales < 1 or self.latent_width << scales != self.width:
            raise NopalError(
                f"The latent width is {self.latent_width} for images of width {self.width}; expected the width divided "
                "by 2, 4, 8 or another power of 2."
            )
        return scales

    def check(self, images: int) -> None:
        """Raises `NopalError` for choices that make no network or no batch, and for fewer than two images."""
        check_choices(self, "width", "latent_width", "depth", "latent", "rate")
        if self.batch < 2 or self.batch % 2:
            raise NopalError(
                f"The batch has {self.batch} images; expected an even number, for they are mixed in pairs."
            )
        if not self.weight >= 0 or not 0 <= self.regularisation <= 1:
            raise NopalError(
                f"The critic's weight is {self.weight} and its regularisation {self.regularisation}; expected a number "
                "from 0 on, and one from 0 to 1."
            )
        check_images(images)
        _ = self.scales


PUBLISHED = {name: ACAIOptions(steps=262_144) for name in ("omniglot", "mnist")}
"""The settings of CACTUs by data set: those of both are the same."""


class ACAIState(eqx.Module):
    """What a step changes, and so what a checkpoint holds."""

    encoder: PoolingEncoder
    decoder: UpsamplingDecoder
    critic: PoolingEncoder
    optimiser: PyTree

    @property
    def networks(self) -> tuple[PoolingEncoder, UpsamplingDecoder, PoolingEncoder]:
        return self.encoder, self.decoder, self.critic


def initial_state(channels: int, options: ACAIOptions, key: PRNGKeyArray) -> ACAIState:
    """Fresh networks for images of so many channels; the critic is a second encoder."""
    keys, sizes = jax.random.split(key, 3), (channels, options.depth, options.latent, options.scales)
    networks = (
        PoolingEncoder(*sizes, key=keys[0]),
        UpsamplingDecoder(*sizes, key=keys[1]),
        PoolingEncoder(*sizes, key=keys[2]),
    )
    return ACAIState(*networks, optimiser=optax.adam(options.rate).init(networks))


def criticise(critic: PoolingEncoder, x: Float[Array, "m h w c"]) -> Float[Array, "m"]:
    """What the critic takes for the smaller part of a mixture: the mean of its latent map."""
    return critic(x).mean((1, 2, 3))


def mix(h: Float[Array, "m h w c"], share: Float[Array, "m"]) -> Float[Array, "m h w c"]:
    """`share` of each map and the rest of its neighbour: images 0 and 1 are a pair, 2 and 3, and so on."""
    share = share[:, None, None, None]
    return share * h + (1 - share) * h.reshape(-1, 2, *h.shape[1:])[:, ::-1].reshape(h.shape)


def gradients(
    networks: tuple[PoolingEncoder, UpsamplingDecoder, PoolingEncoder],
    x: Float[Array, "m h w c"],
    share: Float[Array, "m"],
    weight: float,
    regularisation: float,
) -> tuple[PyTree, dict[str, Array]]:
    """Gradients of the autoencoder's loss for encoder and decoder and of the critic's loss for the critic, and losses.

    With s the critic's scores, z a mixture and r a reconstruction: mean((x - r)^2) + weight * mean(s(z)^2), and
    mean((s(z) - share)^2) + mean(s(r + regularisation * (x - r))^2).
    """
    encoder, decoder, critic = networks
    m = len(x)

    def reconstruct_and_mix(encoder: PoolingEncoder, decoder: UpsamplingDecoder) -> Float[Array, "both h w c"]:
        h = encoder(x)
        return decoder(jnp.concatenate([h, mix(h, share)]))

    decoded, to_autoencoder = jax.vjp(reconstruct_and_mix, encoder, decoder)
    error, mixed = x - decoded[:m], decoded[m:]
    blended = decoded[:m] + regularisation * error
    score, to_critic = jax.vjp(criticise, critic, jnp.concatenate([mixed, blended]))
    # Both losses need the derivatives of the critic's scores of mixtures. They differ by a factor for each image, so
    # one pass back serves both; the guard keeps the quotient finite and changes the critic's gradient by nothing.
    miss = score[:m] - share
    miss = jnp.where(jnp.abs(miss) < 1e-12, 1e-12, miss)
    of_critic, along = to_critic(jnp.concatenate([miss, score[m:]]) * (2 / m))
    along = weight * (score[:m] / miss)[:, None, None, None] * along[:m]
    of_encoder, of_decoder = to_autoencoder(jnp.concatenate([error * (-2 / x.size), along]))
    reconstruction, realism = jnp.mean(error**2), jnp.mean(score[:m] ** 2)
    losses = {
        "loss": reconstruction + weight * realism,
        "reconstruction": reconstruction,
        "critic_loss": jnp.mean((score[:m] - share) ** 2) + jnp.mean(score[m:] ** 2),
    }
    return (of_encoder, of_decoder, of_critic), losses


class ACAIStep(eqx.Module):
    """One step: the next batch of an epoch, in groups of `group` that a device takes one by one. `key` shuffles each
    epoch anew."""

    images: Shaped[Array, "n w w c"]
    key: PRNGKeyArray
    options: ACAIOptions = eqx.field(static=True)
    mesh: Mesh = eqx.field(static=True)
    group: int = eqx.field(static=True)

    def __call__(self, state: ACAIState, key: PRNGKeyArray) -> tuple[ACAIState, dict[str, Array]]:
        steps_done = optax.tree_utils.tree_get(state.optimiser, "count")
        rows = epoch_rows(self.key, steps_done, len(self.images), self.options.batch).reshape(-1, self.group)
        share = jax.random.uniform(key, (self.options.batch,), maxval=0.5).reshape(-1, self.group)

        def of_group(arrays: tuple, number: Array) -> tuple[PyTree, dict[str, Array]]:
            networks, images, rows, share = arrays
            x = 2 * as_float(images[rows[number]]) - 1
            return gradients(networks, x, share[number], self.options.weight, self.options.regularisation)

        arrays = (state.networks, self.images, rows, share)
        gradient, losses = mean_over_tasks(of_group, arrays, len(rows), self.mesh, at_once=1)
        updates, optimiser = optax.adam(self.options.rate).update(gradient, state.optimiser)
        encoder, decoder, critic = eqx.apply_updates(state.networks, updates)
        return ACAIState(encoder, decoder, critic, optimiser), losses


class ACAI(Decodable):
    """The latent map of an autoencoder as one vector; it can also be decoded."""

    encoder: PoolingEncoder
    decoder: UpsamplingDecoder

    @classmethod
    def fit(
        cls,
        images: Shaped[np.ndarray, "n h w c"],
        *,
        key: PRNGKeyArray,
        steps: int | None = None,
        options: ACAIOptions = ACAIOptions(),
        hooks: Sequence[Hook] = (),
        chunk: int = 20,
        devices: int | None = None,
        state: ACAIState | None = None,
        start: int = 0,
        data: str = "",
    ) -> ACAI:
        """Train on `images` for `steps` steps (in place of those of the options).

        To resume, give the `state` of a checkpoint and the steps it had done as `start`. Raises `NopalError` for
        options that make no network and for fewer than two images.
        """
        options = dataclasses.replace(options, steps=options.steps if steps is None else steps)
        options.check(len(images))
        of_weights, of_steps = jax.random.split(key)
        of_rows, of_shares = jax.random.split(of_steps)
        state = state or initial_state(images.shape[3], options, of_weights)
        parts = (np.asarray(fitted(batch, options.width)) for batch in in_batches(images))
        pixels = jnp.asarray(np.concatenate([np.rint(255 * part).astype(np.uint8) for part in parts]))
        mesh = device_mesh(min(device_mesh(devices).size, options.batch // 2))
        step = ACAIStep(pixels, of_rows, options, mesh, group_size(options.batch, mesh))
        trained = run_steps(step, state, of_shares, options.steps, mesh, start=start, chunk=chunk, hooks=hooks)
        made = describe("ACAI", images, data, **dataclasses.asdict(options))
        return cls(encoder=trained.encoder, decoder=trained.decoder, **made)

    @classmethod
    def blank(cls, shape: tuple[int, int, int], record: str, arrays: dict[str, Array]) -> ACAI:
        options = ACAIOptions(**json.loads(record)["options"])
        state = eqx.filter_eval_shape(initial_state, shape[2], options, jax.random.key(0))
        encoder, decoder = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), (state.encoder, state.decoder))
        return cls(shape=shape, record=record, encoder=encoder, decoder=decoder)

    @property
    def options(self) -> ACAIOptions:
        """What it was trained with."""
        return ACAIOptions(**self.made["options"])

    def embed(self, x: Float[Array, "b h w c"]) -> Float[Array, "b d"]:
        return self.encoder(2 * fitted(x, self.options.width) - 1).reshape(len(x), -1)

    def seen(self, images: Shaped[Array | np.ndarray, "b h w c"]) -> Float[Array, "b width width c"]:
        return fitted(images, self.options.width)

    def decode(self, vectors: Float[Array, "b d"]) -> Float[Array, "b width width c"]:
        """Images in [0, 1], as wide as those it was trained on."""
        places = self.options.latent_width
        decoded = self.decoder(vectors.reshape(len(vectors), places, places, -1))
        return jnp.clip((decoded + 1) / 2, 0, 1)


def fitted(images: Shaped[Array | np.ndarray, "b h w c"], width: int) -> Float[Array, "b width width c"]:
    """In [0, 1], with black edges where at most 4 pixels are missing, as published for 28 x 28; otherwise resized."""
    x = as_float(images)
    h, w = x.shape[1:3]
    if width - 4 <= min(h, w) and max(h, w) <= width:
        edges = [((width - size) // 2, (width - size + 1) // 2) for size in (h, w)]
        return jnp.pad(x, ((0, 0), *edges, (0, 0)))
    rows, columns = (resizing_weights(size, width, min(h, w) / width) for size in (h, w))
    return jnp.einsum("ph,bhwc,qw->bpqc", rows, x, columns)


def group_size(batch: int, mesh: Mesh) -> int:
    """Images that a device takes at once: on a CPU a few, whose maps stay in cache; elsewhere its whole share."""
    share = batch // mesh.size
    most = 4 if jax.default_backend() == "cpu" else share
    return next(size for size in range(most - most % 2, 0, -2) if batch % size == 0)
