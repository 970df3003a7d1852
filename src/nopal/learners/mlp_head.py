"""A perceptron with one hidden layer and dropout (Srivastava et al. 2014), trained on the support vectors: a baseline
of CACTUs (Hsu, Levine, Finn 2019, arXiv 1810.02334)."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int32, PRNGKeyArray, PyTree, Shaped

from nopal.errors import NopalError
from nopal.learners.learner import Learner
from nopal.learners.vectors import as_rows, need_classes
from nopal.nets.linear import Linear
from nopal.tasks.episode import Episode, Examples

PATIENCE = 2


class MLPHead(Learner):
    """`units` rectified units, of which a share `dropout` is switched off in training, then a linear layer.

    Adam takes `epochs` steps on the whole support set. `dropout` and `epochs` are arrays, so that a grid of them shares
    one compiled program. Without a key, initial weights and dropout come from that of seed 0.
    """

    dropout: Float[Array, ""]
    epochs: Int32[Array, ""]
    units: int = eqx.field(static=True)
    rate: float = eqx.field(static=True)

    def __init__(self, units: int = 128, dropout: float = 0.5, epochs: int = 100, rate: float = 1e-3):
        """Raises `NopalError` for fewer than one unit or epoch, a dropout that is no share, and a rate that is not
        positive."""
        if units < 1 or epochs < 1 or not rate > 0:
            raise NopalError(f"Units are {units}, epochs {epochs} and the rate {rate}; expected numbers above 0.")
        if not 0 <= dropout < 1:
            raise NopalError(f"The dropout is {dropout}; expected a share from 0 to below 1, such as 0.5.")
        self.dropout, self.epochs = jnp.asarray(dropout, jnp.float32), jnp.asarray(epochs, jnp.int32)
        self.units, self.rate = units, rate

    def adapt(
        self, support: Examples | None, *, key: PRNGKeyArray | None = None, steps: int | None = None
    ) -> Perceptron:
        """See `Learner.adapt`; `steps` are epochs."""
        return self._fit(need_classes(support, "A perceptron"), key, steps, None)

    def _fit(
        self, support: Examples, key: PRNGKeyArray | None, steps: int | None, watched: Examples | None
    ) -> Perceptron:
        """Trained on `support`, until the loss on the `watched` examples, if any, has been no better than before for
        PATIENCE epochs."""
        weights, noise = jax.random.split(jax.random.key(0) if key is None else key)
        x, optimiser = as_rows(support.x), optax.adam(self.rate)
        start = Perceptron.initial(x.shape[1], self.units, support.target.width, weights)
        epochs = self.epochs if steps is None else steps

        def loss(network: Perceptron, key: PRNGKeyArray) -> Float[Array, ""]:
            kept = jax.random.bernoulli(key, 1 - self.dropout, (len(x), self.units)) / (1 - self.dropout)
            return support.target.loss(network.read(network.hide(x) * kept), support.y).mean()

        def unfinished(state: _State) -> Array:
            return (state.epoch < epochs) & (state.waited < PATIENCE)

        def step(state: _State) -> _State:
            slope = jax.grad(loss)(state.network, jax.random.fold_in(noise, state.epoch))
            updates, optimiser_state = optimiser.update(slope, state.optimiser)
            network = eqx.apply_updates(state.network, updates)
            least, waited = state.least, state.waited
            if watched is not None:
                found = watched.target.loss(network(watched.x), watched.y).mean()
                least, waited = jnp.minimum(found, least), jnp.where(found < least, 0, waited + 1)
            return _State(network, optimiser_state, state.epoch + 1, least, waited)

        zero = jnp.array(0, jnp.int32)
        begin = _State(start, optimiser.init(start), zero, jnp.array(jnp.inf), zero)
        return jax.lax.while_loop(unfinished, step, begin).network


class MLPStoppedOnQueries(MLPHead):
    """The perceptron as published, with its leak: training stops when the loss on the *labelled queries* has not fallen
    for two epochs (at most `epochs`, published 500). Its scores flatter it; it can't predict anything whose labels are
    not known."""

    def adapt(
        self, support: Examples | None, *, key: PRNGKeyArray | None = None, steps: int | None = None
    ) -> Perceptron:
        raise NopalError(
            "This baseline stops training by the labels of the queries, as published, so it can't predict; use MLPHead."
        )

    def answer(
        self, episode: Episode, *, key: PRNGKeyArray | None = None, steps: int | None = None
    ) -> Float[Array, "m way"]:
        support = need_classes(episode.support, "A perceptron")
        return self._fit(support, key, steps, episode.query)(episode.query.x)


class Perceptron(eqx.Module):
    """Inputs -> logits."""

    hidden: Linear
    output: Linear

    @classmethod
    def initial(cls, d: int, units: int, outputs: int, key: PRNGKeyArray) -> Perceptron:
        """Glorot-uniform weights."""
        first, second = jax.random.split(key)
        glorot = jax.nn.initializers.glorot_uniform()
        return cls(
            Linear(glorot(first, (d, units)), jnp.zeros(units)),
            Linear(glorot(second, (units, outputs)), jnp.zeros(outputs)),
        )

    def hide(self, x: Float[Array, "m d"]) -> Float[Array, "m units"]:
        return jax.nn.relu(self.hidden(x))

    def read(self, hidden: Float[Array, "m units"]) -> Float[Array, "m way"]:
        return self.output(hidden)

    def __call__(self, x: Shaped[Array, "m ..."]) -> Float[Array, "m way"]:
        return self.read(self.hide(as_rows(x)))


class _State(NamedTuple):
    network: Perceptron
    optimiser: PyTree
    epoch: Int32[Array, ""]
    least: Float[Array, ""]
    waited: Int32[Array, ""]
