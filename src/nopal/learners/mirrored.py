"""Objects that look the same in a mirror: what a view shows from one side, its mirror image shows from the other."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Shaped

from nopal.data.images import as_float
from nopal.errors import NopalError
from nopal.learners.averaging import check_uncoupled
from nopal.learners.cross_validated import CrossValidated
from nopal.learners.learner import Aux, MetaLearner, Predictor, WrappingLearner
from nopal.tasks.circle import Circle, opposite
from nopal.tasks.episode import Episode, Examples


class Mirrored(WrappingLearner):
    """`learner` of angles, given each view a second time: its mirror image, at the opposite angle.

    So support sets and queries have twice as many examples, and a prediction is the mean of that for a view and of the
    opposite of that for its mirror image; opposite angles, for which nothing else may tell, are predicted to be
    opposite. That is right for objects one half of which mirrors the other, as most things that move forwards and most
    furniture do, if 0 is the view of their front; for others it is an assumption that fails. It is nearly right where
    the lamp stands beside the mirror's plane, as in the published scene: shading and shadows are not mirrored. The
    score of meta-training is that of views and mirror images one by one.

    `axis` is where the mirror stands, as a share of an image's width: the axis about which objects turn.
    """

    learner: MetaLearner
    axis: float = eqx.field(static=True)

    def __init__(self, learner: MetaLearner, axis: float = 0.5):
        """Raises `NopalError` for inputs that aren't images, an axis outside of them, and a learner that is
        cross-validated or whose objective couples tasks."""
        check_uncoupled(learner)
        if isinstance(learner, CrossValidated):
            raise NopalError(
                "Left-out views would leave their mirror images behind; put Mirrored inside of CrossValidated."
            )
        if len(learner.shape) != 3:
            raise NopalError(
                f"Inputs of shape {learner.shape} have no mirror image; expected images of height x width x channels."
            )
        if not 0 < axis < 1:
            raise NopalError(f"The mirror's axis is {axis}; expected a share of the image's width, such as 0.5.")
        self.learner, self.axis = learner, axis

    def loss(self, episode: Episode, *, key: PRNGKeyArray) -> tuple[Float[Array, ""], Aux]:
        return self.learner.loss(self._both(episode), key=key)

    def adapt(self, support: Examples | None, *, key: PRNGKeyArray | None = None, steps: int | None = None) -> TwoSided:
        known = None if support is None else with_mirror_images(support, self.axis)
        return TwoSided(self.learner.adapt(known, key=key, steps=steps), self.axis)

    def episode_statistics(self, episode: Episode) -> PyTree | None:
        return self.learner.episode_statistics(self._both(episode))

    def _both(self, episode: Episode) -> Episode:
        return Episode(*(with_mirror_images(part, self.axis) for part in (episode.support, episode.query)))


class TwoSided(eqx.Module):
    """A predictor of places on a circle that is asked for a view and for its mirror image."""

    predictor: Predictor
    axis: float = eqx.field(static=True)

    def __call__(self, x: Shaped[Array, "m h w c"]) -> Float[Array, "m k"]:
        x = as_float(x)
        seen, reflected = jnp.split(self.predictor(jnp.concatenate([x, mirror_images(x, self.axis)])), 2)
        return (seen + opposite(reflected)) / 2


def with_mirror_images(examples: Examples, axis: float) -> Examples:
    """The examples, then their mirror images with opposite labels; raises `NopalError` where labels aren't on a
    circle."""
    target = examples.target
    if not isinstance(target, Circle):
        raise NopalError(f"Mirror images have opposite angles on a circle, but this task predicts {target}.")
    x = jnp.concatenate([examples.x, mirror_images(examples.x, axis)])
    return Examples(x, jnp.concatenate([examples.y, -examples.y % target.turn]), target)


def mirror_images(x: Float[Array, "m h w c"], axis: float) -> Float[Array, "m h w c"]:
    """Images with left and right exchanged about a vertical line at that share of their width, to the nearest half
    pixel; columns that leave on one side come in on the other."""
    width = x.shape[2]
    return jnp.roll(x[:, :, ::-1], round((2 * axis - 1) * width), axis=2)
