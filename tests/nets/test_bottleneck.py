"""Random activations: divergence, moments, and noise for each example."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import rel_entr
from scipy.stats import norm

from nopal.errors import NopalError
from nopal.nets import MLP, Bottleneck, Conv4
from nopal.nets.network import Network


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


class Given(Network):
    """Outputs are the inputs."""

    shape: tuple[int, ...] = eqx.field(static=True, default=(4,))

    def __call__(self, x, statistics=None):
        return x, ()


OUTPUTS = np.array([[0.3, -1.2, 0.0, 2.0], [2.0, 0.5, -3.0, -1.0]])
"""Two means, then two raw scales."""
MEANS, SCALES = OUTPUTS[:, :2], np.log1p(np.exp(OUTPUTS[:, 2:]))
KEY = jax.random.key(0)


def divergences():
    """Of each feature of each example, by numerical integration."""
    found = np.zeros((2, 2))
    for place in np.ndindex(2, 2):
        mean, scale = MEANS[place], SCALES[place]
        found[place] = quad(
            lambda z: rel_entr(norm.pdf(z, mean, scale), norm.pdf(z)),  # noqa: B023
            mean - 12 * scale,
            mean + 12 * scale,
            epsabs=1e-12,
        )[0]
    return found


@pytest.mark.parametrize(("over_dimensions", "reduce"), [("sum", np.sum), ("mean", np.mean)])
def test_each_example_has_a_divergence_summed_or_averaged_over_its_features(over_dimensions, reduce):
    kl = Bottleneck(Given(), over_dimensions).encode(jnp.asarray(OUTPUTS), KEY)[1]
    np.testing.assert_allclose(kl, reduce(divergences(), axis=1), rtol=1e-8)


def test_the_divergence_is_the_mean_difference_of_log_densities_of_draws():
    encoder, x = Bottleneck(Given()), jnp.asarray(OUTPUTS)
    drawn = jax.vmap(lambda key: encoder.encode(x, key)[0])(jax.random.split(KEY, 200_000))
    differences = (norm.logpdf(drawn, MEANS, SCALES) - norm.logpdf(drawn)).sum(axis=2)
    error = differences.std(axis=0) / np.sqrt(len(differences))
    assert (np.abs(differences.mean(axis=0) - encoder.encode(x, KEY)[1]) < 4 * error).all()
    assert (error < 0.02).all()


def test_a_standard_normal_feature_costs_nothing():
    raw = np.log(np.expm1(1.0))
    kl = Bottleneck(Given()).encode(jnp.array([[0.0, 0.0, raw, raw]]), KEY)[1]
    np.testing.assert_allclose(kl, [0.0], atol=1e-12)


def test_features_have_the_means_and_scales_that_the_network_says():
    keys = jax.random.split(KEY, 20_000)
    features = np.asarray(jax.jit(jax.vmap(lambda key: Bottleneck(Given()).encode(jnp.asarray(OUTPUTS), key)[0]))(keys))
    standard = (features - MEANS) / SCALES
    np.testing.assert_allclose(standard.mean(0), 0, atol=5 / np.sqrt(len(keys)))
    np.testing.assert_allclose(standard.std(0), 1, atol=5 / np.sqrt(2 * len(keys)))
    # Every example's noise is its own, and so is every feature's.
    np.testing.assert_allclose(np.corrcoef(standard.reshape(-1, 4).T), np.eye(4), atol=5 / np.sqrt(len(keys)))


def test_expected_are_the_means_at_the_same_price():
    encoder = Bottleneck(Given(), "mean")
    features, kl = encoder.expected().encode(jnp.asarray(OUTPUTS), KEY)
    np.testing.assert_array_equal(features, MEANS)
    np.testing.assert_array_equal(kl, encoder.encode(jnp.asarray(OUTPUTS), KEY)[1])


def test_its_weights_are_certain():
    encoder = Bottleneck(MLP(3, 4, hidden=(), key=KEY))
    assert float(encoder.kl) == 0
    assert encoder.draw(KEY) is encoder
    assert encoder.shape == (3,)


@pytest.mark.parametrize("raw", [-1e4, -50.0, 1e4])
def test_extreme_scales_leave_divergence_and_gradient_finite(raw):
    outputs = jnp.array([[0.5, raw]], jnp.float32)
    encode = Bottleneck(Given((2,))).encode
    value, gradient = jax.value_and_grad(lambda outputs: encode(outputs, KEY)[1][0])(outputs)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_an_odd_number_of_outputs_is_refused():
    with pytest.raises(NopalError, match="has 5 outputs; expected an even number, a mean and a scale for each feature"):
        Bottleneck(MLP(3, 5, key=KEY))


def test_a_network_that_normalises_is_refused():
    with pytest.raises(NopalError, match="The encoder, Conv4, normalises by its batch"):
        Bottleneck(Conv4((16, 16, 1), 4, filters=2, key=KEY))
