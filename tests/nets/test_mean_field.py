"""Random weights: their divergence against SciPy and a Monte Carlo estimate, their moments, and what stays certain."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm
from scipy.integrate import quad
from scipy.special import rel_entr
from scipy.stats import norm as scipy_norm

from nopal.errors import NopalError
from nopal.nets import MLP, Conv4, MeanField
from nopal.nets.mean_field import RandomWeights
from nopal.nets.stochastic import Certain


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def network(*widths, seed=0):
    """With biases that are not zero."""
    inputs, *hidden, outputs = widths
    draw = np.random.default_rng(seed)
    made = MLP(inputs, outputs, hidden=tuple(hidden), key=jax.random.key(seed))
    return jax.tree.map(lambda leaf: jnp.asarray(draw.normal(size=leaf.shape)), made)


def with_scales(field, seed=1):
    """Each weight its own."""
    draw = np.random.default_rng(seed)
    return eqx.tree_at(
        lambda field: field.rho, field, jax.tree.map(lambda rho: jnp.asarray(draw.normal(size=rho.shape)), field.rho)
    )


@pytest.fixture
def field():
    return with_scales(MeanField(network(2, 3, 1)))


@eqx.filter_jit
def kernels_of(field, keys):
    """Kernels of many draws, one column a weight."""
    drawn = jax.vmap(lambda key: [layer.kernel for layer in field.sample(key).layers])(keys)
    return jnp.concatenate([kernel.reshape(len(keys), -1) for kernel in drawn], axis=1)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def means_of(field):
    return np.concatenate([np.ravel(layer.kernel) for layer in field.mean.layers])


def test_the_divergence_is_that_of_numerical_integration(field):
    """Weight by weight, over the line."""
    total = 0.0
    for mean, scale in zip(means_of(field), flat(field.scale), strict=True):
        density = scipy_norm(mean, scale).pdf
        total += quad(
            lambda w: rel_entr(density(w), scipy_norm.pdf(w)),  # noqa: B023
            mean - 12 * scale,
            mean + 12 * scale,
            epsabs=1e-12,
        )[0]
    np.testing.assert_allclose(field.kl, total, rtol=1e-8)


def test_the_divergence_is_the_mean_difference_of_log_densities(field):
    drawn = kernels_of(field, jax.random.split(jax.random.key(0), 20_000))
    differences = (norm.logpdf(drawn, means_of(field), flat(field.scale)) - norm.logpdf(drawn)).sum(1)
    error = differences.std() / np.sqrt(len(differences))
    assert error < 0.05
    assert abs(field.kl - differences.mean()) < 4 * error


def test_it_vanishes_at_the_prior_and_is_half_the_square_of_a_mean():
    of_zero = MeanField(jax.tree.map(jnp.zeros_like, network(2, 3)), scale=1.0)
    np.testing.assert_allclose(of_zero.kl, 0, atol=1e-12)
    of_two = eqx.tree_at(lambda field: field.mean.layers[0].kernel, of_zero, jnp.full((2, 3), 2.0))
    np.testing.assert_allclose(of_two.kl, 6 * 2.0, rtol=1e-12)


def test_its_gradients_are_known(field):
    """The mean itself, and scale - 1 / scale, for the kernels; nothing for the biases."""
    gradient = eqx.filter_jit(eqx.filter_grad(lambda field: field.kl))(field)
    for found, layer in zip(gradient.mean.layers, field.mean.layers):
        np.testing.assert_allclose(found.kernel, layer.kernel, rtol=1e-12)
        assert not found.bias.any()
    scale, rho = flat(field.scale), flat(field.rho)
    np.testing.assert_allclose(flat(gradient.rho), (scale - 1 / scale) / (1 + np.exp(-rho)), rtol=1e-10)


def test_draws_have_the_means_and_scales_of_the_distribution_and_are_independent(field):
    count = 20_000
    drawn = np.asarray(kernels_of(field, jax.random.split(jax.random.key(1), count)))
    scale = flat(field.scale)
    np.testing.assert_allclose((drawn.mean(0) - means_of(field)) / scale, 0, atol=5 / np.sqrt(count))
    np.testing.assert_allclose(drawn.std(0) / scale, 1, atol=5 / np.sqrt(2 * count))
    np.testing.assert_allclose(np.corrcoef(drawn.T), np.eye(9), atol=5 / np.sqrt(count))


def test_weights_follow_mean_and_scale_by_reparameterisation(field):
    """d weight / d mean is 1, and d weight / d scale the standard normal number that was drawn."""
    key = jax.random.key(3)
    noise = (kernels_of(field, key[None])[0] - means_of(field)) / flat(field.scale)

    def total(field):
        return sum(layer.kernel.sum() for layer in field.sample(key).layers)

    gradient = eqx.filter_jit(eqx.filter_grad(total))(field)
    assert all((layer.kernel == 1).all() for layer in gradient.mean.layers)
    np.testing.assert_allclose(flat(gradient.rho), noise / (1 + np.exp(-flat(field.rho))), rtol=1e-8)


def test_biases_are_certain(field):
    drawn = field.sample(jax.random.key(0))
    for layer, mean in zip(drawn.layers, field.mean.layers):
        np.testing.assert_array_equal(layer.bias, mean.bias)
        assert (layer.kernel != mean.kernel).all()


def test_patterns_say_what_is_random():
    field = MeanField(network(2, 3, 1), random=("*.bias", "layers.1.*"), scale=2.0)
    drawn = field.sample(jax.random.key(0))
    np.testing.assert_array_equal(drawn.layers[0].kernel, field.mean.layers[0].kernel)
    assert (drawn.layers[0].bias != field.mean.layers[0].bias).all()
    assert (drawn.layers[1].kernel != field.mean.layers[1].kernel).all()
    weights = [field.mean.layers[0].bias, *jax.tree.leaves(field.mean.layers[1])]
    expected = sum((0.5 * (3 + np.asarray(w) ** 2) - np.log(2)).sum() for w in weights)
    np.testing.assert_allclose(field.kl, expected, rtol=1e-8)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("scale", [1e-300, 2e-22, 1e-3, 0.05, 1.0, 3e4])
def test_scales_begin_where_they_should_and_the_divergence_is_finite(scale, dtype):
    """Also far below what a float can add to a weight, as published, and where an exponential overflows."""
    module = jax.tree.map(lambda leaf: leaf.astype(dtype), network(2, 2))
    field = MeanField(module, scale=scale)
    least = jnp.finfo(dtype).eps
    rtol = 1e-6 if dtype == jnp.float64 else 1e-4
    np.testing.assert_allclose(flat(field.scale), np.full(4, scale + least), rtol=rtol)
    value, gradient = eqx.filter_jit(eqx.filter_value_and_grad(lambda field: field.kl))(field)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((value, gradient)))
    assert field.scale.layers[0].kernel.dtype == field.sample(jax.random.key(0)).layers[0].kernel.dtype == dtype


def test_published_scales_hardly_move():
    """At rho -50 the scale is a float's precision, and the divergence that of a weight decay but for a constant."""
    module = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), network(2, 2))
    field = MeanField(module, scale=float(np.exp(-50)))
    np.testing.assert_allclose(flat(field.rho), -50, rtol=1e-6)
    drawn = field.sample(jax.random.key(0))
    np.testing.assert_allclose(flat(drawn), flat(module), rtol=1e-5, atol=1e-6)
    assert np.abs(flat(eqx.filter_jit(eqx.filter_grad(lambda field: field.kl))(field).rho)).max() < 1e-12


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_is_none_is_refused(scale):
    with pytest.raises(NopalError, match=f"The scale of the weights is {scale}; expected a number above 0"):
        MeanField(network(2, 2), scale=scale)


def test_a_pattern_that_names_nothing_is_refused():
    with pytest.raises(NopalError, match=r"No parameter is named 'weight'; this network has layers\.0\.kernel"):
        MeanField(network(2, 2), random=("*kernel", "weight"))


# As an encoder.

X = jnp.asarray(np.random.default_rng(4).normal(size=(5, 2)))


def test_a_draw_serves_all_calls_and_keeps_the_divergence_of_the_distribution():
    encoder = RandomWeights(MeanField(network(2, 3, 4), scale=0.5))
    drawn = encoder.draw(jax.random.key(0))
    one, of_each = drawn.encode(X, jax.random.key(1))
    np.testing.assert_array_equal(drawn.encode(X, jax.random.key(2))[0], one)
    np.testing.assert_array_equal(drawn.draw(jax.random.key(3)).encode(X, jax.random.key(1))[0], one)
    np.testing.assert_array_equal(encoder.encode(X, jax.random.key(0))[0], one)
    assert not np.allclose(encoder.encode(X, jax.random.key(1))[0], one, rtol=0.01)
    np.testing.assert_allclose(drawn.kl, encoder.weights.kl, rtol=1e-12)
    assert of_each.tolist() == [0.0] * 5
    assert encoder.shape == drawn.shape == (2,)


def test_expected_are_the_means():
    encoder = RandomWeights(MeanField(network(2, 3, 4), scale=0.5))
    np.testing.assert_array_equal(encoder.expected().encode(X, jax.random.key(0))[0], encoder.weights.mean(X)[0])


def test_a_network_as_it_is_diverges_from_nothing():
    encoder = Certain(network(2, 4))
    features, of_each = encoder.encode(X, jax.random.key(0))
    np.testing.assert_array_equal(features, network(2, 4)(X)[0])
    assert (float(encoder.kl), of_each.tolist()) == (0.0, [0.0] * 5)
    assert encoder.draw(jax.random.key(0)) is encoder.expected() is encoder


def test_a_network_that_normalises_is_no_encoder():
    conv = Conv4((16, 16, 1), 4, filters=2, key=jax.random.key(0))
    with pytest.raises(NopalError, match="The encoder, Conv4, normalises by its batch"):
        RandomWeights(MeanField(conv))
