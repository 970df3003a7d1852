"""Bidirectional generative adversarial networks (Donahue, Krähenbühl, Darrell 2017, arXiv 1605.09782), as perceptrons
on small images.

A generator makes images of random codes and an encoder makes codes of images; a discriminator sees pairs of an image
and a code and tells which of the two is made up. To deceive it, each must undo what the other does.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Shaped

from nopal.data.images import as_float
from nopal.encoders.encoder import Decodable, describe
from nopal.encoders.training import STATISTICS, check_choices, check_images, check_normalised, for_statistics, run_steps
from nopal.errors import NopalError
from nopal.loop import Hook
from nopal.mapping import device_mesh, share_examples
from nopal.nets.normalisation import Moments
from nopal.nets.paired_mlp import PairedMLP
from nopal.numerics.shuffling import epoch_rows


@dataclasses.dataclass(frozen=True)
class BiGANOptions:
    """How a bidirectional GAN is made and trained; as its authors did on MNIST but for the numbers of steps and of
    dimensions."""

    steps: int = 25_000
    """steps of training; published: 400 times all images. The second half of them are ever smaller, so another number
    is another run"""
    dimensions: int = 200
    """numbers in a code, and so in a vector"""
    hidden: int = 1024
    """width of both hidden layers of each network"""
    batch: int = 128
    """images in a step, by which activations are normalised"""
    rate: float = 2e-4
    """step size of Adam; falls to a hundredth along the second half of the steps"""
    momentum: float = 0.5
    """share of the earlier gradients in Adam's mean of gradients"""
    penalty: float = 2.5e-5
    """share of the weights that is added to their gradients"""

    def check(self, images: int) -> None:
        """Raises `NopalError` for choices that make no network or no batch, and for fewer than two images."""
        check_choices(self, "dimensions", "hidden", "rate")
        check_normalised(self.batch)
        if not 0 <= self.momentum < 1 or not self.penalty >= 0:
            raise NopalError(
                f"The momentum is {self.momentum} and the penalty {self.penalty}; expected a number from 0 on that is "
                "less than 1, and one from 0 on."
            )
        check_images(images)


# 400 epochs of the 22,000 images of 1,100 characters, and of 55,000 digits. Of the choices of CACTUs only the number of
# dimensions is published: that Omniglot was treated as MNIST is inferred from the size of the images.
PUBLISHED = {"omniglot": BiGANOptions(steps=68_400), "mnist": BiGANOptions(steps=171_600, dimensions=50)}
"""By data set."""


class BiGANState(eqx.Module):
    """What a step changes, and so what a checkpoint holds."""

    encoder: PairedMLP
    generator: PairedMLP
    discriminator: PairedMLP
    optimiser: PyTree

    @property
    def networks(self) -> tuple[PairedMLP, PairedMLP, PairedMLP]:
        return self.encoder, self.generator, self.discriminator


def initial_state(pixels: int, options: BiGANOptions, key: PRNGKeyArray) -> BiGANState:
    """Fresh networks for images of so many numbers. The second layer of generator and discriminator sees the code."""
    keys, d, hidden = jax.random.split(key, 3), options.dimensions, options.hidden
    networks = (
        PairedMLP(pixels, d, hidden=hidden, key=keys[0]),
        PairedMLP(d, pixels, hidden=hidden, beside=d, twice=True, slope=0.0, key=keys[1]),
        PairedMLP(pixels, 1, hidden=hidden, beside=d, key=keys[2]),
    )
    return BiGANState(*networks, optimiser=optimiser_of(options).init(networks))


def optimiser_of(options: BiGANOptions) -> optax.GradientTransformation:
    """Adam on gradients with the penalty's; its steps are full along the first half and fall to a hundredth."""

    def rate(step: Array) -> Array:
        return options.rate * 0.01 ** jnp.clip(2 * step / max(options.steps, 1) - 1, 0, 1)

    return optax.chain(optax.add_decayed_weights(options.penalty), optax.adam(rate, b1=options.momentum))


def encode(
    encoder: PairedMLP, x: Float[Array, "m d"], moments: tuple[Moments, ...] | None = None
) -> tuple[Float[Array, "m code"], tuple[Moments, ...]]:
    """Codes between -1 and 1, where the random ones are too."""
    codes, moments = encoder(x, moments=moments)
    return 2 * jax.nn.sigmoid(codes) - 1, moments


def generate(
    generator: PairedMLP, z: Float[Array, "m code"], moments: tuple[Moments, ...] | None = None
) -> tuple[Float[Array, "m d"], tuple[Moments, ...]]:
    """Images in [0, 1]."""
    images, moments = generator(z, z, moments)
    return jax.nn.sigmoid(images), moments


def gradients(
    networks: tuple[PairedMLP, PairedMLP, PairedMLP], x: Float[Array, "m d"], z: Float[Array, "m code"]
) -> tuple[PyTree, dict[str, Array]]:
    """Gradients of the deceivers' loss for encoder and generator and of the discriminator's for itself, and losses.

    With s its scores (log odds) of pairs: the discriminator's loss is the mean of -log sigmoid(s) of images with their
    codes and of -log sigmoid(-s) of codes with their images, half each; the deceivers' the same with signs flipped.
    """

    def score(
        encoder: PairedMLP, generator: PairedMLP, discriminator: PairedMLP
    ) -> tuple[Float[Array, "m 1"], Float[Array, "m 1"]]:
        given = discriminator(x, encode(encoder, x)[0])[0]
        made = discriminator(generate(generator, z)[0], z)[0]
        return given, made

    (given, made), back = jax.vjp(score, *networks)
    sigmoid, share = jax.nn.sigmoid, 0.5 / len(x)
    *_, of_discriminator = back((-share * sigmoid(-given), share * sigmoid(made)))
    of_encoder, of_generator, _ = back((share * sigmoid(given), -share * sigmoid(-made)))
    softplus = jax.nn.softplus
    losses = {
        "loss": (softplus(given).mean() + softplus(-made).mean()) / 2,
        "discriminator_loss": (softplus(-given).mean() + softplus(made).mean()) / 2,
        "discriminator_accuracy": ((given > 0).mean() + (made < 0).mean()) / 2,
    }
    return (of_encoder, of_generator, of_discriminator), losses


class BiGANStep(eqx.Module):
    """One step: the next batch of an epoch, whose examples devices share. `key` shuffles each epoch anew."""

    images: Shaped[Array, "n h w c"]
    key: PRNGKeyArray
    options: BiGANOptions = eqx.field(static=True)
    mesh: Mesh = eqx.field(static=True)

    def __call__(self, state: BiGANState, key: PRNGKeyArray) -> tuple[BiGANState, dict[str, Array]]:
        batch = self.options.batch
        steps_done = optax.tree_utils.tree_get_all_with_path(state.optimiser, "count")[0][1]
        rows = epoch_rows(self.key, steps_done, len(self.images), batch)
        x = as_float(self.images[rows]).reshape(batch, -1)
        z = jax.random.uniform(key, (batch, self.options.dimensions), minval=-1.0)
        gradient, losses = gradients(state.networks, *share_examples((x, z), self.mesh))
        updates, optimiser = optimiser_of(self.options).update(gradient, state.optimiser, state.networks)
        encoder, generator, discriminator = eqx.apply_updates(state.networks, updates)
        return BiGANState(encoder, generator, discriminator, optimiser), losses


class BiGAN(Decodable):
    """The code of an image, between -1 and 1; images can also be generated of codes."""

    encoder: PairedMLP
    generator: PairedMLP
    moments: tuple[tuple[Moments, ...], tuple[Moments, ...]]

    @classmethod
    def fit(
        cls,
        images: Shaped[np.ndarray, "n h w c"],
        *,
        key: PRNGKeyArray,
        steps: int | None = None,
        options: BiGANOptions = BiGANOptions(),
        hooks: Sequence[Hook] = (),
        chunk: int = 20,
        devices: int | None = None,
        state: BiGANState | None = None,
        start: int = 0,
        data: str = "",
    ) -> BiGAN:
        """Train on `images` for `steps` steps (in place of those of the options).

        To resume, give the `state` of a checkpoint and the steps it had done as `start`. Raises `NopalError` for
        options that make no network and for fewer than two images.
        """
        options = dataclasses.replace(options, steps=options.steps if steps is None else steps)
        options.check(len(images))
        of_weights, of_steps = jax.random.split(key)
        of_rows, of_codes, of_moments = jax.random.split(of_steps, 3)
        state = state or initial_state(math.prod(images.shape[1:]), options, of_weights)
        if devices is None and jax.default_backend() == "cpu":
            # A product of matrices takes all cores by itself; devices would send each other all gradients, which takes
            # longer than the step (two of them: 5 steps a second instead of 26).
            devices = jax.process_count()
        mesh = device_mesh(devices)
        step = BiGANStep(jnp.asarray(images), of_rows, options, mesh)
        trained = run_steps(step, state, of_codes, options.steps, mesh, start=start, chunk=chunk, hooks=hooks)
        some = for_statistics(images)
        x = as_float(jnp.asarray(some)).reshape(len(some), -1)
        z = jax.random.uniform(of_moments, (STATISTICS, options.dimensions), minval=-1.0)
        moments = encode(trained.encoder, x)[1], generate(trained.generator, z)[1]
        made = describe("BiGAN", images, data, **dataclasses.asdict(options))
        return cls(encoder=trained.encoder, generator=trained.generator, moments=moments, **made)

    @classmethod
    def blank(cls, shape: tuple[int, int, int], record: str, arrays: dict[str, Array]) -> BiGAN:
        options = BiGANOptions(**json.loads(record)["options"])
        state = eqx.filter_eval_shape(initial_state, math.prod(shape), options, jax.random.key(0))
        encoder, generator = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), (state.encoder, state.generator))
        moments = Moments(jnp.zeros(options.hidden), jnp.zeros(options.hidden))
        known = (moments,), (moments, moments)
        return cls(shape=shape, record=record, encoder=encoder, generator=generator, moments=known)

    @property
    def options(self) -> BiGANOptions:
        """What it was trained with."""
        return BiGANOptions(**self.made["options"])

    def embed(self, x: Float[Array, "b h w c"]) -> Float[Array, "b d"]:
        return encode(self.encoder, x.reshape(len(x), -1), self.moments[0])[0]

    def seen(self, images: Shaped[Array | np.ndarray, "b h w c"]) -> Float[Array, "b h w c"]:
        return as_float(jnp.asarray(images))

    def decode(self, vectors: Float[Array, "b d"]) -> Float[Array, "b h w c"]:
        """Images in [0, 1]."""
        return generate(self.generator, vectors, self.moments[1])[0].reshape(len(vectors), *self.shape)
