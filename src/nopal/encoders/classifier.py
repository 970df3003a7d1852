"""The features of an ordinary classifier of all training classes at once: what Ravi and Larochelle (2017, Optimization
as a model for few-shot learning) fine-tune, or look for nearest neighbours in, as baselines without meta-learning.

It is the one encoder here that uses labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Int, PRNGKeyArray, PyTree, Shaped

from nopal.data.images import as_float
from nopal.encoders.encoder import describe
from nopal.encoders.features import Features, headless, structure, whole_moments
from nopal.encoders.training import check_choices, check_normalised, for_statistics, run_steps
from nopal.errors import NopalError
from nopal.loop import Hook
from nopal.mapping import device_mesh, share_examples
from nopal.nets.conv4 import Conv4, Downsample, Readout
from nopal.numerics.shuffling import epoch_rows


@dataclasses.dataclass(frozen=True)
class ClassifierOptions:
    """How a classifier of all classes is made and trained; how those of the published baselines were is not known but
    for the four blocks."""

    steps: int = 5_000
    """steps of training"""
    filters: int = 32
    """feature maps of each of the four blocks"""
    downsample: Downsample = "pool"
    """halve images by pooling, or by convolutions of stride 2: faster"""
    readout: Readout = "flatten"
    """flatten the last feature map, or average it over its places"""
    batch: int = 64
    """images in a step, by which activations are normalised"""
    rate: float = 1e-3
    """step size of Adam"""
    weight_decay: float = 0.0
    """share of the weights, times the rate, that a step takes away"""

    def check(self, labels: Int[np.ndarray, "n"]) -> None:
        """Raises `NopalError` for choices that make no network or no batch, and for fewer than two classes."""
        check_choices(self, "filters", "rate")
        check_normalised(self.batch)
        if not self.weight_decay >= 0:
            raise NopalError(f"The weight decay is {self.weight_decay}; expected a number from 0 on.")
        if (classes := len(np.unique(labels))) < 2:
            raise NopalError(f"The images to train a classifier on are of {classes} class; give at least two classes.")


class ClassifierState(eqx.Module):
    """What a step changes, and so what a checkpoint holds."""

    network: Conv4
    optimiser: PyTree


def initial_state(
    shape: tuple[int, int, int], classes: int, options: ClassifierOptions, key: PRNGKeyArray
) -> ClassifierState:
    """A fresh network for images of `shape`, with an output for each class."""
    network = Conv4(
        shape, classes, filters=options.filters, downsample=options.downsample, readout=options.readout, key=key
    )
    return ClassifierState(network, _optimiser(options).init(network))


def _optimiser(options: ClassifierOptions) -> optax.GradientTransformation:
    return optax.adamw(options.rate, weight_decay=options.weight_decay)


class ClassifierStep(eqx.Module):
    """One step: the cross-entropy of the next batch of an epoch, whose examples devices share. `key` shuffles each
    epoch anew."""

    images: Shaped[Array, "n h w c"]
    labels: Int[Array, "n"]
    key: PRNGKeyArray
    options: ClassifierOptions = eqx.field(static=True)
    mesh: Mesh = eqx.field(static=True)

    def __call__(self, state: ClassifierState, key: PRNGKeyArray) -> tuple[ClassifierState, dict[str, Array]]:
        steps_done = optax.tree_utils.tree_get(state.optimiser, "count")
        rows = epoch_rows(self.key, steps_done, len(self.images), self.options.batch)
        x, y = share_examples((as_float(self.images[rows]), self.labels[rows]), self.mesh)

        def loss(network: Conv4) -> tuple[Array, dict[str, Array]]:
            logits = network(x)[0]
            value = optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
            return value, {"loss": value, "score": (logits.argmax(1) == y).mean()}

        gradient, metrics = jax.grad(loss, has_aux=True)(state.network)
        updates, optimiser = _optimiser(self.options).update(gradient, state.optimiser, state.network)
        return ClassifierState(eqx.apply_updates(state.network, updates), optimiser), metrics


class Classifier(Features):
    """What the last layer of a classifier saw."""

    @classmethod
    def fit(
        cls,
        images: Shaped[np.ndarray, "n h w c"],
        labels: Int[np.ndarray, "labels"],
        *,
        key: PRNGKeyArray,
        steps: int | None = None,
        options: ClassifierOptions = ClassifierOptions(),
        hooks: Sequence[Hook] = (),
        chunk: int = 20,
        devices: int | None = None,
        state: ClassifierState | None = None,
        start: int = 0,
        data: str = "",
    ) -> Classifier:
        """Train on labelled `images` for `steps` steps (in place of those of the options).

        To resume, give the `state` of a checkpoint and the steps it had done as `start`. Raises `NopalError` for
        options that make no network, for fewer than two classes and for labels that are not one for each image.
        """
        options = dataclasses.replace(options, steps=options.steps if steps is None else steps)
        if len(labels) != len(images):
            raise NopalError(f"There are {len(labels)} labels for {len(images)} images; expected one for each.")
        options.check(labels)
        classes, numbers = np.unique(labels, return_inverse=True)
        of_weights, of_rows = jax.random.split(key)
        height, width, channels = images.shape[1:]
        state = state or initial_state((height, width, channels), len(classes), options, of_weights)
        mesh = device_mesh(devices)
        # Without their number, so that runs of other lengths share the program.
        of_step = dataclasses.replace(options, steps=0)
        step = ClassifierStep(jnp.asarray(images), jnp.asarray(numbers.ravel(), jnp.int32), of_rows, of_step, mesh)
        trained = run_steps(step, state, of_rows, options.steps, mesh, start=start, chunk=chunk, hooks=hooks)
        network = headless(trained.network)
        made = describe("Classifier", images, data, **(dataclasses.asdict(options) | structure(network)))
        return cls(network=network, moments=whole_moments(network, for_statistics(images)), **made)

    @property
    def options(self) -> ClassifierOptions:
        """What it was trained with."""
        known = {field.name for field in dataclasses.fields(ClassifierOptions)}
        return ClassifierOptions(**{name: value for name, value in self.made["options"].items() if name in known})
