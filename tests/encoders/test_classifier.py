"""A classifier of blobs as an encoder: what it learns, and that its vectors belong to images and not to batches."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.encoders import Classifier, ClassifierOptions, load_encoder
from nopal.encoders.classifier import ClassifierStep, initial_state
from nopal.encoders.features import whole_moments
from nopal.errors import NopalError
from nopal.mapping import device_mesh
from nopal.numerics.shuffling import epoch_rows

DRAW = np.random.default_rng(0)
LABELS = DRAW.permutation(np.repeat([4, 7, 9], 16))
"""Three classes, whose numbers don't count from 0."""
PLACES = {4: (2, 2), 7: (2, 9), 9: (9, 5)}


def blobs(labels: np.ndarray) -> np.ndarray:
    """Noise with a bright blob, where the class says."""
    images = DRAW.integers(0, 60, (len(labels), 16, 16, 1))
    for image, label in zip(images, labels):
        i, j = PLACES[label]
        image[i : i + 5, j : j + 5] += 150
    return images.astype(np.uint8)


IMAGES = blobs(LABELS)
SMALL = ClassifierOptions(steps=8, filters=4, downsample="stride", batch=12, rate=1e-2)


def fit(**changes):
    return Classifier.fit(IMAGES, LABELS, **({"key": jax.random.key(1), "options": SMALL, "chunk": 4} | changes))


@pytest.fixture(scope="module")
def encoder():
    return fit()


def assert_same(one, other, **tolerance):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, **({"rtol": 0} | tolerance))


def test_it_learns_the_classes_and_tells_new_images_apart():
    seen = []
    found = fit(steps=80, hooks=[lambda moment: seen.extend(moment.metrics["score"])])
    assert np.mean(seen[-10:]) > 0.95
    assert np.mean(seen[:2]) < 0.7
    new = DRAW.permutation(LABELS)
    means = np.stack([found(IMAGES[label == LABELS]).mean(0) for label in PLACES])
    nearest = np.square(found(blobs(new))[:, None] - means).sum(-1).argmin(1)
    assert (np.array(list(PLACES))[nearest] == new).mean() > 0.95


def test_one_step_by_hand():
    """Adam's first step moves every weight by the rate, against the sign of its slope."""
    options = dataclasses.replace(SMALL, weight_decay=0.5, batch=6)
    fresh = initial_state((16, 16, 1), 3, options, jax.random.key(0))
    numbers = np.unique(LABELS, return_inverse=True)[1]
    step = ClassifierStep(
        jnp.asarray(IMAGES), jnp.asarray(numbers, jnp.int32), jax.random.key(5), options, device_mesh(1)
    )
    after, metrics = jax.jit(lambda step, state: step(state, jax.random.key(0)))(step, fresh)
    rows = epoch_rows(jax.random.key(5), jnp.int32(0), len(IMAGES), options.batch)
    x, y = jnp.asarray(IMAGES[rows] / 255, jnp.float32), numbers[rows]

    @jax.jit
    @jax.value_and_grad
    def slope(network):
        return -jax.nn.log_softmax(network(x)[0])[np.arange(len(y)), y].mean()

    loss, gradient = slope(fresh.network)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
    kernels = (lambda n: n.head.kernel), (lambda n: n.blocks[2].kernel)
    for of in kernels:
        w, g = of(fresh.network), of(gradient)
        moved = w - options.rate * (g / (jnp.abs(g) + 1e-8) + 0.5 * w)
        clear = np.abs(g) > 1e-4
        np.testing.assert_allclose(np.asarray(of(after.network))[clear], np.asarray(moved)[clear], atol=1e-5)


def test_an_image_alone_has_the_vector_that_it_has_among_others(encoder):
    np.testing.assert_allclose(encoder(IMAGES[7:8]), encoder(IMAGES)[7:8], rtol=1e-4, atol=1e-5)


def test_features_are_normalised_by_images_from_all_over_the_data(encoder, monkeypatch):
    assert_same(encoder.moments, whole_moments(encoder.network, IMAGES))
    monkeypatch.setattr("nopal.encoders.training.STATISTICS", 24)
    half = fit(steps=0)
    assert_same(half.moments, whole_moments(half.network, IMAGES[::2]))
    assert len(half(IMAGES)) == half.made["images"] == 48


def test_resumed_it_repeats_the_uninterrupted_run_bit_for_bit(encoder):
    kept = []
    fit(steps=4, hooks=[lambda moment: kept.append(jax.tree.map(np.array, moment.state))])
    again = fit(state=jax.tree.map(jnp.asarray, kept[0]), start=4)
    assert_same((again.network, again.moments), (encoder.network, encoder.moments))


def test_devices_change_nothing_but_rounding(encoder):
    assert_same(fit(devices=1).network, encoder.network, atol=1e-3)
    assert not np.allclose(fit(key=jax.random.key(2)).network.blocks[0].kernel, encoder.network.blocks[0].kernel)


def test_a_saved_encoder_gives_the_same_vectors(encoder, tmp_path):
    loaded = load_encoder(encoder.save(tmp_path / "encoder.npz"))
    assert isinstance(loaded, Classifier)
    assert (loaded.made, loaded.options, loaded.dimensions) == (encoder.made, SMALL, 4)
    assert (loaded(IMAGES[:5]) == encoder(IMAGES[:5])).all()


def test_a_new_last_layer_knows_nothing_yet(encoder):
    network = encoder.with_head(7)
    assert network.head.kernel.shape == (4, 7)
    assert not network.head.kernel.any()
    assert not network.head.bias.any()
    assert_same(network.blocks, encoder.network.blocks)
    assert encoder.network.head is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"batch": 1}, "The batch has 1 images; expected at least 2"),
        ({"steps": -1}, "The number of steps is -1"),
        ({"filters": 0}, "The choice filters is 0"),
        ({"rate": float("nan")}, "The choice rate is nan"),
        ({"weight_decay": -0.1}, "The weight decay is -0.1"),
    ],
)
def test_impossible_choices_are_refused(changes, sentence):
    with pytest.raises(NopalError, match=sentence):
        fit(options=dataclasses.replace(SMALL, **changes))


def test_too_few_classes_labels_and_steps_are_refused():
    with pytest.raises(NopalError, match="train a classifier on are of 1 class; give at least two"):
        Classifier.fit(IMAGES, np.full(len(IMAGES), 3), key=jax.random.key(0), options=SMALL)
    with pytest.raises(NopalError, match="There are 5 labels for 48 images"):
        Classifier.fit(IMAGES, LABELS[:5], key=jax.random.key(0), options=SMALL)
    with pytest.raises(NopalError, match="The run has done 20 steps already, more than 8"):
        fit(start=20)
