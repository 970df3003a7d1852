"""Principal component analysis (Pearson, 1901) by the eigenvectors of the covariance, in float64 on the host; of very
many features by subspace iteration (Halko, Martinsson, Tropp 2011, arXiv 0909.4061)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from nopal.errors import NopalError

MANY = 4096
"""Features beyond which the covariance is not decomposed as a whole, where a few directions will do."""
_ROUNDS = 6
_BLOCK = 2048


class PrincipalComponents(NamedTuple):
    """Mean, orthonormal directions by falling variance (their largest entry is positive), and variance along each."""

    mean: Float[np.ndarray, "f"]
    directions: Float[np.ndarray, "d f"]
    variance: Float[np.ndarray, "d"]


def fit_pca(x: Shaped[np.ndarray, "n f"], dimensions: int | None = None) -> PrincipalComponents:
    """The first `dimensions` principal components of the rows of `x`, or, where None, one for each of the f features.

    Variances have denominator n - 1. Of more than `MANY` features the directions are those of float32, and the last of
    them, which hardly differ in variance, may be mixed with each other. Raises `NopalError` for more dimensions than
    min(n, f), for rows that aren't finite, and for all directions of too many features.
    """
    x = np.asarray(x)
    n, features = x.shape
    if dimensions is not None and not 1 <= dimensions <= min(n, features):
        raise NopalError(
            f"The number of dimensions is {dimensions}, of {n} images or vectors with {features} features; expected "
            f"between 1 and {min(n, features)}."
        )
    bad = np.flatnonzero(~np.isfinite(x).all(1))
    if len(bad):
        raise NopalError(f"Row {bad[0]} (counted from 0) is NaN or infinite, {len(bad)} in all; leave these out.")
    mean = x.mean(0, dtype=np.float64)
    if features > MANY and dimensions is not None and 4 * dimensions <= min(n, features):
        variance, columns = _leading(x, mean.astype(np.float32), dimensions)
    elif features <= 4 * MANY:
        centred = x.astype(np.float64) - mean
        variance, columns = np.linalg.eigh(centred.T @ centred / max(n - 1, 1))
    else:
        raise NopalError(
            f"{dimensions or features} directions of {features} features were asked for, which takes a matrix of "
            f"{features**2 * 8 / 1e9:.1f} GB, and hours: ask for fewer dimensions, or bring images to a smaller size."
        )
    variance, directions = variance[::-1][:dimensions], columns.T[::-1][:dimensions]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], 1)
    return PrincipalComponents(mean, directions * np.sign(largest), np.maximum(variance, 0))


def _leading(
    x: Shaped[np.ndarray, "n f"], mean: Float[np.ndarray, "f"], dimensions: int
) -> tuple[Float[np.ndarray, "k"], Float[np.ndarray, "f k"]]:
    """Variances and directions, ascending, of a subspace twice as wide as is needed, which holds the leading ones."""

    def times_covariance(q: Float[np.ndarray, "f k"]) -> Float[np.ndarray, "f k"]:
        product = np.zeros_like(q)
        for start in range(0, len(x), _BLOCK):
            block = x[start : start + _BLOCK].astype(np.float32) - mean
            product += block.T @ (block @ q)
        return product / max(len(x) - 1, 1)

    start = np.random.default_rng(0).normal(size=(x.shape[1], 2 * dimensions)).astype(np.float32)
    q, _ = np.linalg.qr(start)
    for _ in range(_ROUNDS):
        q, _ = np.linalg.qr(times_covariance(q))
    variance, inside = np.linalg.eigh((q.T @ times_covariance(q)).astype(np.float64))
    return variance, q @ inside
