"""Principal components against a singular value decomposition."""

import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.numerics.pca import fit_pca

X = np.random.default_rng(0).normal(size=(50, 6)) * [5, 4, 3, 2, 1, 0.5] + 7


def test_components_agree_with_a_singular_value_decomposition():
    found = fit_pca(X, 4)
    _, singular, rows = np.linalg.svd(X - X.mean(0), full_matrices=False)
    np.testing.assert_allclose(found.mean, X.mean(0))
    np.testing.assert_allclose(found.variance, singular[:4] ** 2 / 49)
    np.testing.assert_allclose(np.abs(found.directions @ rows[:4].T), np.eye(4), atol=1e-10)


def test_the_largest_entry_of_a_direction_is_positive():
    found = fit_pca(-X)
    assert (found.directions[np.arange(6), np.abs(found.directions).argmax(1)] > 0).all()
    np.testing.assert_allclose(found.directions, fit_pca(X).directions)


def test_all_features_have_a_direction_also_with_few_rows():
    found = fit_pca(X[:3])
    assert found.directions.shape == (6, 6)
    np.testing.assert_allclose(found.variance[2:], 0, atol=1e-12)
    np.testing.assert_allclose(found.directions @ found.directions.T, np.eye(6), atol=1e-10)


@pytest.mark.parametrize(("rows", "dimensions"), [(50, 7), (50, 0), (3, 4)])
def test_impossible_dimensions_are_refused(rows, dimensions):
    with pytest.raises(NopalError, match=f"number of dimensions is {dimensions}, of {rows} .* expected between 1 and"):
        fit_pca(X[:rows], dimensions)


def test_rows_that_are_not_finite_are_named():
    x = X.copy()
    x[11, 2] = np.nan
    with pytest.raises(NopalError, match=r"Row 11 \(counted from 0\) is NaN"):
        fit_pca(x, 2)


def test_the_leading_components_of_many_features_are_the_same(monkeypatch):
    spread = 10 * 0.8 ** np.arange(40)
    x = (
        np.random.default_rng(1).normal(size=(3000, 40)) * spread @ np.linalg.qr(np.ones((40, 40)) + np.eye(40))[0]
    ) + 5
    exact = fit_pca(x, 5)
    monkeypatch.setattr("nopal.numerics.pca.MANY", 39)
    found = fit_pca(x.astype(np.float32), 5)
    np.testing.assert_allclose(found.mean, exact.mean, rtol=1e-6)
    np.testing.assert_allclose(found.variance, exact.variance, rtol=1e-4)
    np.testing.assert_allclose(found.directions, exact.directions, atol=2e-3)
    np.testing.assert_array_equal(fit_pca(x, 12).directions, fit_pca(x)[1][:12])  # a third of all: decomposed in full


def test_all_components_of_too_many_features_are_refused(monkeypatch):
    monkeypatch.setattr("nopal.numerics.pca.MANY", 1)
    with pytest.raises(NopalError, match=r"6 directions of 6 features .* bring images to a smaller size"):
        fit_pca(X)
