"""Bidirectional GANs on networks small enough to compute by other means."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.encoders import BiGAN, BiGANOptions, load_encoder
from nopal.encoders.bigan import PUBLISHED, gradients, initial_state, optimiser_of
from nopal.errors import NopalError

SMALL = BiGANOptions(steps=10, dimensions=3, hidden=6, batch=8, rate=3e-3)
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 1)).astype(np.uint8)


def normalised(h):
    return (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-8)


def perceptron(network, x, z=None):
    """Of encoder and discriminator, in NumPy: leaky, and normalised once, by the batch."""
    h = x @ network.first
    h = np.where(h > 0, h, 0.2 * h) @ network.second
    if z is not None:
        h = h + z @ network.beside
    h = normalised(h)
    return np.where(h > 0, h, 0.2 * h) @ network.last


def generate(network, z):
    """Normalised twice, and not leaky."""
    h = np.maximum(normalised(z @ network.first), 0) @ network.second + z @ network.beside
    return 1 / (1 + np.exp(-np.maximum(normalised(h), 0) @ network.last))


def losses(networks, x, z):
    """The deceivers' and the discriminator's: cross-entropies with wrong and with right labels."""
    encoder, generator, discriminator = networks
    codes = np.tanh(perceptron(encoder, x) / 2)
    images = generate(generator, z)
    given = 1 / (1 + np.exp(-perceptron(discriminator, x, codes)))
    made = 1 / (1 + np.exp(-perceptron(discriminator, images, z)))
    return (
        -(np.log(1 - given).mean() + np.log(made).mean()) / 2,
        -(np.log(given).mean() + np.log(1 - made).mean()) / 2,
    )


def test_losses_and_gradients_by_numpy():
    """Losses by value; gradients by the change of each loss along a direction in the parameters that it moves."""
    draw = np.random.default_rng(1)
    with jax.enable_x64(True):
        networks = jax.tree.map(
            lambda a: jnp.asarray(draw.normal(size=a.shape)), initial_state(16, SMALL, jax.random.key(0)).networks
        )
        x, z = draw.uniform(0, 1, (5, 16)), draw.uniform(-1, 1, (5, 3))
        gradient, found = jax.jit(gradients)(networks, jnp.asarray(x), jnp.asarray(z))
    networks = jax.tree.map(np.asarray, networks)
    np.testing.assert_allclose((found["loss"], found["discriminator_loss"]), losses(networks, x, z), rtol=1e-10)

    for moved, of_loss in (((0, 1), 0), ((2,), 1)):
        directions = jax.tree.map(lambda a: draw.normal(size=a.shape), networks)

        def at(step, moved=moved, of_loss=of_loss, directions=directions):
            shifted = [
                jax.tree.map(lambda a, by, share=step * (i in moved): a + share * by, network, direction)
                for i, (network, direction) in enumerate(zip(networks, directions))
            ]
            return losses(shifted, x, z)[of_loss]

        slope = sum(
            np.vdot(g, d)
            for i in moved
            for g, d in zip(jax.tree.leaves(gradient[i]), jax.tree.leaves(directions[i]), strict=True)
        )
        np.testing.assert_allclose(slope, (at(1e-6) - at(-1e-6)) / 2e-6, rtol=1e-5)


def test_published_settings():
    omniglot, mnist = PUBLISHED["omniglot"], PUBLISHED["mnist"]
    assert (omniglot.steps, mnist.steps) == (400 * (22_000 // 128), 400 * (55_000 // 128))
    assert (omniglot.dimensions, mnist.dimensions) == (200, 50)
    for options in (omniglot, mnist):
        assert (options.hidden, options.batch, options.rate, options.momentum) == (1024, 128, 2e-4, 0.5)
        assert options.penalty == 2.5e-5
    state = jax.eval_shape(lambda: initial_state(784, mnist, jax.random.key(0)))
    count = [sum(leaf.size for leaf in jax.tree.leaves(network)) for network in state.networks]
    assert count == [
        784 * 1024 + 1024**2 + 1024 * 50,
        50 * 1024 + 1024**2 + 50 * 1024 + 1024 * 784,
        784 * 1024 + 1024**2 + 50 * 1024 + 1024,
    ]


def test_initial_weights_are_small():
    networks = initial_state(784, BiGANOptions(), jax.random.key(0)).networks
    for leaf in jax.tree.leaves(networks):
        assert np.std(leaf) == pytest.approx(0.02, rel=0.1)


def test_steps_are_full_at_first_and_fall_to_a_hundredth():
    """Adam's first step is the rate, whatever the gradient; so is each later one where the gradient stays the same."""
    options = dataclasses.replace(SMALL, steps=100, rate=0.1, penalty=0.0)
    optimiser, weight, sizes = optimiser_of(options), jnp.zeros(1), []
    state = optimiser.init(weight)
    for _ in range(101):
        update, state = optimiser.update(jnp.ones(1), state, weight)
        sizes.append(-float(update[0]))
    np.testing.assert_allclose(sizes[:51], 0.1, rtol=1e-4)
    np.testing.assert_allclose(sizes[75], 0.01, rtol=1e-4)
    np.testing.assert_allclose(sizes[100], 0.001, rtol=1e-4)


def fit(**changes):
    return BiGAN.fit(IMAGES, **({"key": jax.random.key(1), "options": SMALL, "chunk": 5} | changes))


@pytest.fixture(scope="module")
def encoder():
    return fit()


def assert_same(one, other, **tolerance):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, **({"rtol": 0} | tolerance))


def test_resumed_it_repeats_the_uninterrupted_run_bit_for_bit(encoder):
    kept = []
    fit(hooks=[lambda moment: kept.append(jax.tree.map(np.array, moment.state))])
    again = fit(state=jax.tree.map(jnp.asarray, kept[0]), start=5)
    assert_same((again.encoder, again.generator, again.moments), (encoder.encoder, encoder.generator, encoder.moments))


def test_devices_do_not_change_the_result(encoder):
    two = fit(devices=2)
    assert_same((two.encoder, two.generator), (encoder.encoder, encoder.generator), atol=2e-3)
    assert not np.allclose(fit(key=jax.random.key(2)).encoder.first, two.encoder.first, atol=1e-2)


def test_it_learns_what_images_there_are():
    """Two shapes, each in many shades: generated images are of these, as they are not at first."""
    draw = np.random.default_rng(0)
    shapes = np.stack([np.eye(4) > 0, np.arange(16).reshape(4, 4) % 4 == 1])
    images = np.uint8(shapes[np.arange(256) % 2] * draw.uniform(150, 255, (256, 1, 1)))[..., None]
    z = jnp.asarray(draw.uniform(-1, 1, (64, 4)), jnp.float32)
    options = BiGANOptions(steps=800, dimensions=4, hidden=128, batch=32, rate=1e-3)

    def distances(steps):
        found = BiGAN.fit(images, key=jax.random.key(0), steps=steps, options=options)
        return np.abs(np.asarray(found.decode(z))[:, None, ..., 0] - 0.8 * shapes).mean((2, 3))

    assert distances(0).min(1).mean() > 0.4
    trained = distances(800)
    assert trained.min(1).mean() < 0.2
    assert 0.1 < trained.argmin(1).mean() < 0.9


def test_a_vector_lies_in_the_cube_and_depends_on_its_image_alone(encoder):
    vectors = encoder(IMAGES)
    assert vectors.shape == (30, 3)
    assert np.abs(vectors).max() < 1
    np.testing.assert_allclose(encoder(IMAGES[3:4]), vectors[3:4], atol=1e-6)
    decoded = encoder.decode(jnp.asarray(vectors))
    assert decoded.shape == encoder.seen(IMAGES).shape == (30, 4, 4, 1)
    np.testing.assert_allclose(encoder.decode(jnp.asarray(vectors[:1])), decoded[:1], atol=1e-6)
    assert float(decoded.min()) >= 0
    assert float(decoded.max()) <= 1


def test_its_statistics_are_those_of_the_images(encoder):
    h = IMAGES.reshape(30, -1) / 255 @ encoder.encoder.first
    h = np.maximum(h, 0.2 * h) @ encoder.encoder.second
    (moments,), of_generator = encoder.moments
    np.testing.assert_allclose(moments.mean, h.mean(0), rtol=1e-4)
    np.testing.assert_allclose(moments.variance, h.var(0), rtol=1e-3)
    assert len(of_generator) == 2


def test_a_saved_encoder_gives_the_same_vectors(encoder, tmp_path):
    loaded = load_encoder(encoder.save(tmp_path / "encoder.npz"))
    assert isinstance(loaded, BiGAN)
    assert (loaded.made, loaded.options, loaded.dimensions) == (encoder.made, SMALL, 3)
    assert (loaded(IMAGES[:5]) == encoder(IMAGES[:5])).all()
    z = jnp.asarray(encoder(IMAGES[:5]))
    assert (loaded.decode(z) == encoder.decode(z)).all()


def test_a_file_that_does_not_fit_its_options_is_refused(encoder, tmp_path):
    path = encoder.save(tmp_path / "encoder.npz")
    with np.load(path) as file:
        arrays = dict(file)
    made = json.loads(str(arrays.pop("made")))
    made["options"]["hidden"] = 7
    np.savez(path, made=json.dumps(made), **arrays)
    with pytest.raises(NopalError, match=r"does not hold a whole encoder .*its arrays are not those of its options"):
        load_encoder(path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch": 1}, "The batch has 1 images; expected at least 2"),
        ({"steps": -1}, "The number of steps is -1"),
        ({"hidden": 0}, "The choice hidden is 0"),
        ({"dimensions": -2}, "The choice dimensions is -2"),
        ({"rate": float("nan")}, "The choice rate is nan"),
        ({"momentum": 1.0}, "The momentum is 1.0"),
        ({"penalty": -0.5}, "the penalty -0.5"),
    ],
)
def test_impossible_choices_are_refused(changes, sentence):
    with pytest.raises(NopalError, match=sentence):
        fit(options=dataclasses.replace(SMALL, **changes))


def test_too_few_images_and_too_few_steps_are_refused():
    with pytest.raises(NopalError, match="There are 1 images to train an encoder on"):
        BiGAN.fit(IMAGES[:1], key=jax.random.key(0), options=SMALL)
    with pytest.raises(NopalError, match="The run has done 20 steps already, more than 10"):
        fit(start=20)
