"""Encoders without training: what they compute, what they refuse, and their files."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.decomposition import PCA as Reference

from nopal.encoders import PCA, ZCA, Raw, load_encoder
from nopal.encoders import encoder as module
from nopal.errors import NopalError

IMAGES = np.random.default_rng(0).integers(0, 256, (80, 5, 4, 1)).astype(np.uint8)
NEW = np.random.default_rng(1).integers(0, 256, (7, 5, 4, 1)).astype(np.uint8)
FITTED = [Raw.fit(IMAGES), PCA.fit(IMAGES, dimensions=6), PCA.fit(IMAGES, dimensions=6, whiten=True), ZCA.fit(IMAGES)]
each = pytest.mark.parametrize("encoder", FITTED, ids=["raw", "pca", "pca-whitened", "zca"])


def flat(images):
    return images.reshape(len(images), -1) / 255


def test_raw_vectors_are_pixels():
    np.testing.assert_allclose(FITTED[0](NEW), flat(NEW), rtol=1e-6)


@pytest.mark.parametrize("whiten", [False, True])
def test_principal_components_agree_with_scikit_learn_but_for_signs(whiten):
    reference = Reference(6, whiten=whiten, svd_solver="full").fit(flat(IMAGES))
    found = PCA.fit(IMAGES, dimensions=6, whiten=whiten)(NEW)
    np.testing.assert_allclose(np.abs(found), np.abs(reference.transform(flat(NEW))), rtol=1e-4, atol=1e-5)


def test_whitened_dimensions_have_variance_one_or_none():
    np.testing.assert_allclose(FITTED[2](IMAGES).var(0, ddof=1), 1, rtol=1e-4)
    few = PCA.fit(IMAGES[:3], dimensions=3, whiten=True)(IMAGES[:3])
    np.testing.assert_allclose(few.var(0, ddof=1), [1, 1, 0], atol=1e-4)


def test_zca_by_its_formula():
    def evened(images):
        x = images.reshape(len(images), -1).astype(float)
        return (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 10)

    train = evened(IMAGES)
    variance, columns = np.linalg.eigh(np.cov(train, rowvar=False))
    whitening = columns @ np.diag(1 / np.sqrt(np.maximum(variance, 0) + 1e-5)) @ columns.T
    np.testing.assert_allclose(ZCA.fit(IMAGES)(NEW), (evened(NEW) - train.mean(0)) @ whitening, rtol=1e-3, atol=1e-3)


@each
def test_bytes_numbers_and_device_arrays_have_the_same_vectors(encoder):
    expected = encoder(NEW)
    assert expected.dtype == np.float32
    assert expected.shape == (7, encoder.dimensions)
    np.testing.assert_allclose(encoder(NEW.astype(np.float32) / 255), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(encoder(jnp.asarray(NEW)), expected, rtol=1e-4, atol=1e-4)


@each
def test_batches_leave_no_trace(encoder, monkeypatch):
    expected = encoder(NEW)
    monkeypatch.setattr(module, "BATCH", 3)
    np.testing.assert_allclose(encoder(NEW), expected, rtol=1e-4, atol=1e-4)
    assert encoder(NEW[:0]).shape == (0, encoder.dimensions)


@each
def test_a_saved_encoder_gives_the_same_vectors(encoder, tmp_path):
    loaded = load_encoder(encoder.save(tmp_path / "encoder.npz"))
    assert type(loaded) is type(encoder)
    assert loaded.made == encoder.made
    assert loaded.shape == (5, 4, 1)
    assert (loaded(NEW) == encoder(NEW)).all()


def test_an_encoder_says_what_made_it():
    made = PCA.fit(IMAGES, dimensions=3, data="noise").made
    options = {"dimensions": 3, "whiten": False}
    assert made == {"encoder": "PCA", "options": options, "shape": [5, 4, 1], "images": 80, "data": "noise"}


@each
def test_images_of_another_shape_are_refused(encoder):
    with pytest.raises(NopalError, match=r"shape \(4, 5, 1\), but this encoder was fitted on \(5, 4, 1\)"):
        encoder(NEW.transpose(0, 2, 1, 3))


def test_impossible_fits_are_refused():
    with pytest.raises(NopalError, match=r"number of dimensions is 21, of 80 .* with 20 features"):
        PCA.fit(IMAGES, dimensions=21)
    with pytest.raises(NopalError, match="no images"):
        PCA.fit(IMAGES[:0])


def archive(path, **changed):
    arrays = {"kind": "nopal encoder 1", "made": '{"encoder": "PCA", "shape": [5, 4, 1]}'}
    arrays |= {"mean": np.zeros(20, np.float32), "directions": np.zeros((3, 20), np.float32)}
    np.savez(path, **{name: a for name, a in (arrays | changed).items() if a is not None})
    return path


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"mean": None}, "does not hold a whole encoder"),
        ({"extra": np.zeros(2)}, "does not hold a whole encoder"),
        ({"mean": np.zeros(19, np.float32)}, "does not hold a whole encoder"),
        ({"made": '{"encoder": "Oracle", "shape": [5, 4, 1]}'}, "does not hold a whole encoder"),
        ({"made": '{"encoder": "PCA"}'}, "does not hold a whole encoder"),
        ({"made": "{"}, "is damaged"),
        ({"kind": "nopal partitions 1"}, "holds 'nopal partitions 1' where 'nopal encoder 1' was expected"),
    ],
)
def test_a_wrong_file_is_refused_in_a_sentence(changed, sentence, tmp_path):
    with pytest.raises(NopalError, match=sentence):
        load_encoder(archive(tmp_path / "wrong.npz", **changed))
