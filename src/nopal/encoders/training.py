"""How the networks of an encoder are trained, whatever their loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import PRNGKeyArray, PyTree, Shaped

from nopal.errors import NopalError
from nopal.loop import Hook, Step, run
from nopal.mapping import replicate

S = TypeVar("S", bound=PyTree)
STATISTICS = 4096
"""Images at most, by whose statistics a trained network normalises what it sees."""


def check_choices(options: Any, *positive: str) -> None:
    """Raises `NopalError` for a negative number of steps, and where one of the choices so named is not above 0."""
    if options.steps < 0:
        raise NopalError(f"The number of steps is {options.steps}; expected at least 0, which trains nothing.")
    for name in positive:
        if not getattr(options, name) > 0:
            raise NopalError(f"The choice {name} is {getattr(options, name)}; expected a number above 0.")


def check_normalised(batch: int) -> None:
    """Raises `NopalError` for a batch too small to normalise activations by."""
    if batch < 2:
        raise NopalError(f"The batch has {batch} images; expected at least 2, for they are normalised by it.")


def check_images(images: int) -> None:
    """Raises `NopalError` for fewer than two images to train on."""
    if images < 2:
        raise NopalError(f"There are {images} images to train an encoder on; give at least two.")


def for_statistics(images: Shaped[np.ndarray, "n h w c"]) -> Shaped[np.ndarray, "m h w c"]:
    """At most `STATISTICS` images from all over the data."""
    seen = min(len(images), STATISTICS)
    return images[np.arange(seen) * len(images) // seen]


def run_steps(
    step: Step,
    state: S,
    key: PRNGKeyArray,
    steps: int,
    mesh: Mesh,
    *,
    start: int = 0,
    chunk: int = 20,
    hooks: Sequence[Hook] = (),
) -> S:
    """The state after `steps` steps on a mesh of devices, of which `start` have been done already; `state` is kept.

    Raises `NopalError` where more have been done.
    """
    if start > steps:
        raise NopalError(f"The run has done {start} steps already, more than {steps}; ask for as many.")
    step, state, key = replicate((step, jax.tree.map(jnp.copy, state), key), mesh)
    trained = run(step, state, key, steps, start=start, chunk=chunk, hooks=hooks)
    return jax.tree.map(jnp.asarray, jax.device_get(trained))
