"""ACAI on networks small enough to compute by other means."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.encoders import ACAI, load_encoder
from nopal.encoders.acai import PUBLISHED, ACAIOptions, fitted, gradients, initial_state, mix
from nopal.errors import NopalError

SMALL = ACAIOptions(steps=10, width=8, latent_width=4, depth=2, latent=3, batch=8, rate=3e-3)
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1)).astype(np.uint8)


def convolve(x, layer):
    """Place by place, in NumPy."""
    kernel, bias = layer
    a = len(kernel)
    padded = np.pad(x, ((0, 0), *2 * [(a // 2, a // 2)], (0, 0)))
    out = np.empty((*x.shape[:3], len(bias)))
    for i, j in np.ndindex(x.shape[1:3]):
        out[:, i, j] = np.tensordot(padded[:, i : i + a, j : j + a], kernel, 3) + bias
    return out


def active(x):
    return np.maximum(x, 0) + 0.2 * np.minimum(x, 0)


def encode(layers, x):
    """One scale."""
    x = active(convolve(active(convolve(convolve(x, layers[0]), layers[1])), layers[2]))
    x = (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4
    return convolve(active(convolve(x, layers[3])), layers[4])


def decode(layers, z):
    z = active(convolve(active(convolve(z, layers[0])), layers[1])).repeat(2, 1).repeat(2, 2)
    return convolve(active(convolve(z, layers[2])), layers[3])


def losses(networks, x, share, weight, regularisation):
    """The autoencoder's and the critic's, word for word as in the paper."""
    encoder, decoder, critic = networks
    h, a = encode(encoder, x), share[:, None, None, None]
    reconstruction = decode(decoder, h)
    score = encode(critic, decode(decoder, a * h + (1 - a) * h[[1, 0, 3, 2]])).mean((1, 2, 3))
    blended = encode(critic, reconstruction + regularisation * (x - reconstruction)).mean((1, 2, 3))
    return (
        ((x - reconstruction) ** 2).mean() + weight * (score**2).mean(),
        ((score - share) ** 2).mean() + (blended**2).mean(),
    )


derive = jax.jit(gradients, static_argnames=("weight", "regularisation"))


def layers_of(network):
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(network)]
    return list(zip(leaves[::2], leaves[1::2]))


def test_losses_and_gradients_by_numpy():
    """Losses by value; gradients by the change of each loss along a direction in the parameters that it moves."""
    draw = np.random.default_rng(1)
    with jax.enable_x64(True):
        state = initial_state(1, SMALL, jax.random.key(0))
        networks = jax.tree.map(lambda a: jnp.asarray(a + 0.1 * draw.normal(size=a.shape)), state.networks)
        x, share = draw.uniform(-1, 1, (4, 8, 8, 1)), np.array([0.1, 0.5, 0.3, 0.0])
        gradient, found = derive(networks, jnp.asarray(x), jnp.asarray(share), weight=0.7, regularisation=0.3)
    expected = losses([layers_of(network) for network in networks], x, share, 0.7, 0.3)
    np.testing.assert_allclose((found["loss"], found["critic_loss"]), expected, rtol=1e-10)

    for moved, of_loss in (((0, 1), 0), ((2,), 1)):
        directions = [jax.tree.map(lambda a: draw.normal(size=a.shape), network) for network in networks]

        def at(step, moved=moved, of_loss=of_loss, directions=directions):
            shifted = [
                jax.tree.map(lambda a, by, share=step * (i in moved): np.asarray(a) + share * by, network, direction)
                for i, (network, direction) in enumerate(zip(networks, directions))
            ]
            return losses([layers_of(network) for network in shifted], x, share, 0.7, 0.3)[of_loss]

        slope = sum(
            np.vdot(g, d)
            for i in moved
            for g, d in zip(jax.tree.leaves(gradient[i]), jax.tree.leaves(directions[i]), strict=True)
        )
        np.testing.assert_allclose(slope, (at(1e-6) - at(-1e-6)) / 2e-6, rtol=1e-5)


def test_a_perfect_critic_has_a_gradient_too():
    """Where a score is exactly the share, the quotient of the two losses' slopes must not be infinite."""
    state = initial_state(1, SMALL, jax.random.key(0))
    networks = jax.tree.map(jnp.zeros_like, state.networks)
    gradient, found = derive(networks, jnp.ones((2, 8, 8, 1)), jnp.zeros(2), weight=0.5, regularisation=0.2)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((gradient, found)))


def test_mixtures_by_hand():
    h = jnp.array([1.0, 3.0, 10.0, 20.0]).reshape(4, 1, 1, 1)
    mixed = mix(h, jnp.array([0.5, 0.25, 0.0, 0.1]))
    np.testing.assert_allclose(mixed.ravel(), [0.5 * 1 + 0.5 * 3, 0.25 * 3 + 0.75 * 1, 20, 0.1 * 20 + 0.9 * 10])


def test_published_settings():
    for options in PUBLISHED.values():
        assert options.steps * options.batch == 2**24
        assert (options.scales, options.depth, options.rate, options.weight, options.regularisation) == (
            3,
            16,
            1e-4,
            0.5,
            0.2,
        )
        state = jax.eval_shape(lambda options=options: initial_state(1, options, jax.random.key(0)))
        z = jax.eval_shape(lambda n, x: n(x), state.encoder, jnp.zeros((2, 32, 32, 1)))
        assert z.shape == (2, 4, 4, 16)
        assert jax.eval_shape(lambda n, z: n(z), state.decoder, z).shape == (2, 32, 32, 1)
        count = [sum(leaf.size for leaf in jax.tree.leaves(network)) for network in state.networks]
        assert count == [166_288, 83_329, 166_288]


def test_initial_weights_keep_the_size_of_activations():
    kernel = initial_state(1, ACAIOptions(), jax.random.key(0)).encoder.last[0].kernel
    assert np.std(kernel) == pytest.approx(1 / np.sqrt(1.04 * 9 * 64), rel=0.02)


def fit(**changes):
    return ACAI.fit(IMAGES, **({"key": jax.random.key(1), "options": SMALL, "chunk": 5} | changes))


@pytest.fixture(scope="module")
def encoder():
    return fit()


def assert_same(one, other, **tolerance):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, **({"rtol": 0} | tolerance))


def test_resumed_it_repeats_the_uninterrupted_run_bit_for_bit(encoder):
    kept = []

    def keep(moment):
        kept.append(jax.tree.map(np.array, moment.state))

    fit(steps=5, hooks=[keep])
    state = jax.tree.map(jnp.asarray, kept[0])
    again = fit(state=state, start=5)
    assert_same((again.encoder, again.decoder), (encoder.encoder, encoder.decoder))
    assert_same(state, kept[0])


def test_neither_devices_nor_groups_change_the_result(monkeypatch, encoder):
    seen = {"loss": []}
    monkeypatch.setattr("nopal.encoders.acai.group_size", lambda batch, mesh: 2)
    one = fit(devices=1, hooks=[lambda moment: seen["loss"].extend(moment.metrics["loss"])])
    assert_same((one.encoder, one.decoder), (encoder.encoder, encoder.decoder), atol=2e-3)
    assert len(seen["loss"]) == 10
    assert not np.allclose(fit(key=jax.random.key(2)).encoder.first.kernel, one.encoder.first.kernel, atol=1e-2)


def test_training_brings_reconstructions_nearer():
    ramp = np.linspace(0, 255, 8)[:, None, None] * np.linspace(0.2, 1, 20)[:, None, None, None]
    images = np.broadcast_to(ramp, (20, 8, 8, 1)).astype(np.uint8)
    errors = []
    options = dataclasses.replace(SMALL, steps=100, rate=1e-2)
    found = ACAI.fit(
        images, key=jax.random.key(0), options=options, hooks=[lambda m: errors.extend(m.metrics["reconstruction"])]
    )
    assert np.mean(errors[-20:]) < 0.2 * np.mean(errors[:5])
    decoded = found.decode(jnp.asarray(found(images)))
    assert decoded.shape == (20, 8, 8, 1)
    assert np.square(decoded - images / 255).mean() < 0.05


def test_a_saved_encoder_gives_the_same_vectors(encoder, tmp_path):
    loaded = load_encoder(encoder.save(tmp_path / "encoder.npz"))
    assert isinstance(loaded, ACAI)
    assert (loaded.made, loaded.options, loaded.dimensions) == (encoder.made, SMALL, 48)
    assert (loaded(IMAGES[:5]) == encoder(IMAGES[:5])).all()
    z = jnp.asarray(encoder(IMAGES[:5]))
    assert (loaded.decode(z) == encoder.decode(z)).all()
    with pytest.raises(NopalError, match=r"shape \(9, 8, 1\), but this encoder was fitted on \(8, 8, 1\)"):
        loaded(np.zeros((2, 9, 8, 1), np.uint8))


def test_a_file_that_does_not_fit_its_options_is_refused(encoder, tmp_path):
    path = encoder.save(tmp_path / "encoder.npz")
    with np.load(path) as file:
        arrays = dict(file)
    made = json.loads(str(arrays.pop("made")))
    made["options"]["depth"] = 3
    np.savez(path, made=json.dumps(made), **arrays)
    with pytest.raises(NopalError, match=r"does not hold a whole encoder .*its arrays are not those of its options"):
        load_encoder(path)


@pytest.mark.parametrize(("size", "edges"), [((28, 28), (2, 2)), ((32, 32), (0, 0)), ((29, 30), (1, 1))])
def test_images_a_little_too_small_get_black_edges(size, edges):
    x = np.random.default_rng(0).uniform(0.1, 1, (2, *size, 3)).astype(np.float32)
    found = np.asarray(fitted(x, 32))
    top, left = edges
    np.testing.assert_array_equal(found[:, top : top + size[0], left : left + size[1]], x)
    assert found.shape == (2, 32, 32, 3)
    assert (found > 0).sum() == x.size


def test_other_images_are_resized():
    x = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 1), np.uint8)
    np.testing.assert_allclose(fitted(x, 32), x.reshape(2, 32, 2, 32, 2, 1).mean((2, 4)) / 255, atol=1e-5)
    assert fitted(x[:, :10, :20], 32).shape == (2, 32, 32, 1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"latent_width": 3}, "latent width is 3 for images of width 8; expected the width divided by 2, 4, 8"),
        ({"latent_width": 8}, "latent width is 8 for images of width 8"),
        ({"batch": 7}, "The batch has 7 images; expected an even number"),
        ({"batch": 0}, "The batch has 0 images"),
        ({"steps": -1}, "The number of steps is -1"),
        ({"depth": -1}, "The choice depth is -1"),
        ({"rate": float("nan")}, "The choice rate is nan"),
        ({"weight": -0.5}, "The critic's weight is -0.5"),
        ({"regularisation": 1.5}, "its regularisation 1.5"),
    ],
)
def test_impossible_choices_are_refused(changes, sentence):
    with pytest.raises(NopalError, match=sentence):
        fit(options=dataclasses.replace(SMALL, **changes))


def test_too_few_images_and_too_few_steps_are_refused():
    with pytest.raises(NopalError, match="There are 1 images to train an encoder on"):
        ACAI.fit(IMAGES[:1], key=jax.random.key(0), options=SMALL)
    with pytest.raises(NopalError, match="The run has done 20 steps already, more than 10"):
        fit(start=20)
