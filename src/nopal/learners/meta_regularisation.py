"""Meta-regularisation (Yin et al. 2020, Meta-Learning without Memorization, arXiv 1912.03820): an encoder that is not
adapted may keep only so much about its inputs, so that a task can't be solved without its support set."""

from __future__ import annotations

import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Shaped

from nopal.data.images import as_float
from nopal.errors import NopalError, check_choice
from nopal.learners.averaging import average_draws, check_strength, check_uncoupled
from nopal.learners.learner import Aux, MetaLearner, Predictor, WrappingLearner
from nopal.nets.bottleneck import Bottleneck
from nopal.nets.mean_field import MeanField, RandomWeights
from nopal.nets.network import Network
from nopal.nets.stochastic import Certain, Stochastic, features_of
from nopal.tasks.episode import Episode, Examples

Draws = Literal["step", "task", "call"]
Of = Literal["query", "support"]


class MetaRegularised(WrappingLearner):
    """`learner` on what `encoder` makes of the inputs; the loss is the learner's plus `beta` times a divergence.

    Every learner will do: MAML whose network is the adapted head makes MR-MAML, a neural process MR-CNP. The encoder is
    a `MeanField` network (regularised weights, W), a `Bottleneck` (activations, A), or a network as it is, which makes
    MAML with an encoder that is not adapted. The divergence is that of the weights, counted once, or the mean over the
    examples `of` which it is taken: the queries as in the paper, or the support set as in the authors' code. The
    learner's own parameters are not regularised.

    Weights are drawn once for all tasks of a meta-training `"step"` (the paper's Algorithm 2), for each `"task"`, or
    for each of a step's two `"call"`s of the encoder, so that the support sets of all tasks see one draw and their
    queries another (the authors' code). Predictions average over `samples` draws (Algorithm 3), each adapted on its
    own; with 0 the means take the place of draws.
    """

    encoder: Stochastic
    learner: MetaLearner
    beta: float = eqx.field(static=True)
    draws: Draws = eqx.field(static=True)
    of: Of = eqx.field(static=True)
    samples: int = eqx.field(static=True)
    calls: tuple[Stochastic, Stochastic] | None
    """within a step that draws for each call: the encoder of support sets and that of queries"""

    def __init__(
        self,
        encoder: Network | MeanField[Network] | Stochastic,
        learner: MetaLearner,
        *,
        beta: float = 0.0,
        draws: Draws = "step",
        of: Of = "query",
        samples: int = 0,
    ):
        """Raises `NopalError` for a negative `beta` or number of samples, or either where nothing is drawn, for `draws`
        where no weights are and `of` where no activations are, for an encoder that normalises by its batch, for
        features that don't fit the learner's inputs, and for a learner whose objective couples tasks."""
        check_strength(beta, samples)
        check_uncoupled(learner)
        check_choice("draws", draws, Draws)
        check_choice("of", of, Of)
        if isinstance(encoder, MeanField):
            encoder = RandomWeights(encoder)
        if isinstance(encoder, Network):
            features_of(encoder)
            encoder = Certain(encoder)
        if isinstance(encoder, Certain) and (beta or samples):
            raise NopalError(
                f"beta is {beta:g} and predictions average {samples} draws, but the encoder draws nothing; wrap it in "
                "MeanField or Bottleneck, or leave both 0."
            )
        for choice, value, usual, kind in (("draws", draws, "step", RandomWeights), ("of", of, "query", Bottleneck)):
            if value != usual and not isinstance(encoder, kind):
                what = "weights" if kind is RandomWeights else "activations"
                raise NopalError(f"{choice} is {value!r}, but the encoder draws no {what}; leave it out.")
        self.encoder, self.calls = encoder, None
        self.learner, self.beta, self.draws, self.of, self.samples = learner, beta, draws, of, samples
        blank = jax.ShapeDtypeStruct((1, *self.shape), jnp.float32)
        features = eqx.filter_eval_shape(lambda e, x: e.encode(x, jax.random.key(0))[0], self.encoder, blank)
        if features.size != math.prod(learner.shape):
            raise NopalError(
                f"The encoder makes {features.size} features of an input, but the learner takes "
                f"{' x '.join(map(str, learner.shape))}; give the encoder as many outputs."
            )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.encoder.shape

    def for_step(self, key: PRNGKeyArray) -> MetaRegularised:
        own, inner = jax.random.split(key)
        encoder = self.encoder.draw(own) if self.draws == "step" else self.encoder
        first, second = jax.random.split(own)
        calls = (self.encoder.draw(first), self.encoder.draw(second)) if self.draws == "call" else None
        drawn = encoder, self.learner.for_step(inner), calls
        return eqx.tree_at(
            lambda self: (self.encoder, self.learner, self.calls), self, drawn, is_leaf=lambda leaf: leaf is None
        )

    def loss(self, episode: Episode, *, key: PRNGKeyArray) -> tuple[Float[Array, ""], Aux]:
        weights, support, query, inner = jax.random.split(key, 4)
        encoder = self.encoder if self.draws == "call" else self.encoder.draw(weights)
        of_known, of_asked = self.calls or (encoder, encoder)
        known, of_support = self._encode(of_known, episode.support, support)
        asked, of_query = self._encode(of_asked, episode.query, query)
        value, aux = self.learner.loss(Episode(known, asked), key=inner)
        kl = of_asked.kl + (of_query if self.of == "query" else of_support).mean()
        return value + self.beta * kl, aux | {"kl": kl}

    def adapt(
        self, support: Examples | None, *, key: PRNGKeyArray | None = None, steps: int | None = None
    ) -> Predictor:
        """See `Learner.adapt`. Raises `NopalError` where draws are to be averaged and no key is given."""
        if self.samples == 0:
            return self._adapt(self.encoder.expected(), support, key, steps)

        def drawn(key: PRNGKeyArray) -> EncodedPredictor:
            weights, rest = jax.random.split(key)
            encoder = self.encoder if self.draws == "call" else self.encoder.draw(weights)
            return self._adapt(encoder, support, rest, steps)

        return average_draws(drawn, self.samples, support, key)

    def _adapt(
        self, encoder: Stochastic, support: Examples | None, key: PRNGKeyArray | None, steps: int | None
    ) -> EncodedPredictor:
        """Without a key for an encoder that draws nothing; whether the learner needs one, it says itself."""
        of_support, of_query, inner = jax.random.split(jax.random.key(0) if key is None else key, 3)
        known = None if support is None else self._encode(encoder, support, of_support)[0]
        predictor = self.learner.adapt(known, key=None if key is None else inner, steps=steps)
        return EncodedPredictor(encoder, predictor, of_query, self.learner.shape)

    def _encode(self, encoder: Stochastic, examples: Examples, key: PRNGKeyArray) -> tuple[Examples, Array]:
        features, kl = encoder.encode(examples.x, key)
        features = features.reshape(len(features), *self.learner.shape)
        return Examples(features, examples.y, examples.target), kl

    def episode_statistics(self, episode: Episode) -> PyTree | None:
        encoder, key = self.encoder.expected(), jax.random.key(0)
        known, asked = (self._encode(encoder, part, key)[0] for part in (episode.support, episode.query))
        return self.learner.episode_statistics(Episode(known, asked))


class EncodedPredictor(eqx.Module):
    """A predictor on features: inputs -> parameters of the target."""

    encoder: Stochastic
    predictor: Predictor
    key: PRNGKeyArray
    shape: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, x: Shaped[Array, "m ..."]) -> Float[Array, "m parameters"]:
        features, _ = self.encoder.encode(as_float(x), self.key)
        return self.predictor(features.reshape(len(features), *self.shape))
