"""Meta-learned networks as encoders: their features, their statistics over the whole data, and their files."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.encoders import MetaLearned, encoder, load_encoder
from nopal.errors import NopalError
from nopal.learners import ProtoNet
from nopal.nets import MLP, Conv4
from nopal.tasks import Categorical, Examples

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 1)).astype(np.uint8)
OPTIONS = {"filters": 3, "downsample": "pool", "readout": "flatten", "scale": False, "epsilon": 1e-3}


def network(outputs=None, **changes):
    return Conv4((16, 16, 1), outputs, **(OPTIONS | changes), key=jax.random.key(0))


@pytest.mark.parametrize("changes", [{}, {"downsample": "stride", "readout": "mean", "scale": True}])
def test_features_are_those_of_one_large_batch(changes, monkeypatch):
    made = network(**changes)
    features, moments = made(jnp.asarray(IMAGES / 255, jnp.float32))
    monkeypatch.setattr(encoder, "BATCH", 16)
    found = MetaLearned.fit(IMAGES, made)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found.moments, moments)
    np.testing.assert_allclose(found(IMAGES), features, rtol=1e-3, atol=1e-3)


def test_an_image_alone_has_the_vector_that_it_has_among_others():
    found = MetaLearned.fit(IMAGES, network())
    np.testing.assert_allclose(found(IMAGES[7:8]), found(IMAGES)[7:8], rtol=1e-4, atol=1e-5)


def test_nearest_means_of_its_vectors_are_what_the_prototypical_network_says():
    made = network()
    found = MetaLearned.fit(IMAGES, made)
    learner = ProtoNet(made, statistics="running").with_running(found.moments)
    support = Examples(jnp.asarray(IMAGES[:4]), jnp.arange(4), Categorical(4))
    z = found(IMAGES)
    expected = -np.square(z[4:, None] - z[:4]).sum(-1)
    np.testing.assert_allclose(learner.adapt(support)(jnp.asarray(IMAGES[4:])), expected, rtol=1e-3, atol=1e-3)


def test_the_head_is_left_out(tmp_path):
    with_head = network(5)
    found = MetaLearned.fit(IMAGES, with_head, data="noise").noting(seconds=7)
    headless = eqx.tree_at(lambda n: n.head, with_head, None)
    assert found.network.head is None
    assert found.dimensions == headless._features(3, "pool") == 3
    assert (found(IMAGES) == MetaLearned.fit(IMAGES, headless)(IMAGES)).all()
    assert found.made == {
        "encoder": "MetaLearned",
        "options": OPTIONS,
        "shape": [16, 16, 1],
        "images": 50,
        "data": "noise",
        "seconds": 7,
    }


@pytest.mark.parametrize("changes", [{}, {"downsample": "stride", "readout": "mean", "scale": True}])
def test_a_saved_encoder_gives_the_same_vectors(changes, tmp_path):
    found = MetaLearned.fit(IMAGES, network(**changes))
    loaded = load_encoder(found.save(tmp_path / "encoder.npz"))
    assert (loaded.made, loaded.shape) == (found.made, (16, 16, 1))
    assert (loaded(IMAGES) == found(IMAGES)).all()


def test_images_of_another_shape_or_none_are_refused():
    with pytest.raises(NopalError, match=r"50 images of shape \(16, 16, 3\) .* expected some of \(16, 16, 1\)"):
        MetaLearned.fit(np.repeat(IMAGES, 3, -1), network())
    with pytest.raises(NopalError, match="There are 0 images"):
        MetaLearned.fit(IMAGES[:0], network())
    with pytest.raises(NopalError, match="A MLP has no features of images"):
        MetaLearned.fit(IMAGES, MLP(1, 1, key=jax.random.key(0)))
