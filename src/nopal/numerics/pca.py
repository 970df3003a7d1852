"""Principal component analysis (Pearson, 1901) by the eigenvectors of the covariance, in float64 on the host."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from nopal.errors import NopalError


class PrincipalComponents(NamedTuple):
    """Mean, orthonormal directions by falling variance (their largest entry is positive), and variance along each."""

    mean: Float[np.ndarray, "f"]
    directions: Float[np.ndarray, "d f"]
    variance: Float[np.ndarray, "d"]


def fit_pca(x: Shaped[np.ndarray, "n f"], dimensions: int | None = None) -> PrincipalComponents:
    """The first `dimensions` principal components of the rows of `x`, or, where None, one for each of the f features.

    Variances have denominator n - 1. Raises `NopalError` for more dimensions than min(n, f) and for rows that
    aren't finite.
    """
    x = np.asarray(x, np.float64)
    n, features = x.shape
    if dimensions is not None and not 1 <= dimensions <= min(n, features):
        raise NopalError(
            f"{dimensions} dimensions were asked of {n} images or vectors with {features} features; expected between 1 "
            f"and {min(n, features)}."
        )
    bad = np.flatnonzero(~np.isfinite(x).all(1))
    if len(bad):
        raise NopalError(f"Row {bad[0]} (counted from 0) is NaN or infinite, {len(bad)} in all; leave these out.")
    mean = x.mean(0)
    centred = x - mean
    variance, columns = np.linalg.eigh(centred.T @ centred / max(n - 1, 1))
    variance, directions = variance[::-1][:dimensions], columns.T[::-1][:dimensions]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], 1)
    return PrincipalComponents(mean, directions * np.sign(largest), np.maximum(variance, 0))
