"""Training from scratch: gradient descent written out, on a network whose gradient is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.learners.from_scratch import FromScratch
from nopal.nets import Conv4
from nopal.tasks.episode import Examples
from nopal.tasks.target import Categorical

DRAW = np.random.default_rng(0)
X, Y = jnp.asarray(DRAW.uniform(size=(6, 16, 16, 1)), jnp.float32), np.repeat(np.arange(3), 2)
NETWORK = Conv4((16, 16, 1), 3, filters=4, key=jax.random.key(0))
SUPPORT = Examples(X, Y, Categorical(3))


def test_it_descends_on_the_support_set_from_the_same_weights() -> None:
    scratch = FromScratch(NETWORK, rate=0.1, steps=2)

    @jax.jit
    @jax.grad
    def slope(network: Conv4) -> jax.Array:
        return SUPPORT.target.loss(network(X)[0], SUPPORT.y).mean()

    network = NETWORK
    for _ in range(2):
        network = jax.tree.map(lambda w, g: w - 0.1 * g, network, slope(network))
    new = jnp.asarray(DRAW.uniform(size=(5, 16, 16, 1)), jnp.float32)
    normalised = jax.jit(lambda network: network(new, network(X)[1])[0])
    adapted = jax.jit(lambda scratch, steps: scratch.adapt(SUPPORT, steps=steps)(new), static_argnums=1)
    np.testing.assert_allclose(adapted(scratch, None), normalised(network), atol=1e-5)
    np.testing.assert_allclose(adapted(scratch, 0), normalised(NETWORK), atol=1e-6)


def test_statistics_are_named() -> None:
    assert FromScratch(NETWORK).statistics == "support"
    assert FromScratch(NETWORK, query_statistics="transductive").statistics == "transductive"
    with pytest.raises(NopalError, match="has no running statistics"):
        FromScratch(NETWORK, query_statistics="running")
