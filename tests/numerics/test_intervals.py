"""Intervals of means, against scipy's test of a sample."""

import math

import numpy as np
import pytest
from scipy import stats

from nopal.numerics.intervals import interval_over_groups


def test_the_interval_of_a_few_is_that_of_students_t() -> None:
    means = np.array([0.3, 7.9, 0.4, np.nan, 4.9, 1.2])
    low, high = stats.ttest_1samp(means[np.isfinite(means)], 0.0).confidence_interval(0.95)
    assert interval_over_groups(means) == pytest.approx((high - low) / 2)
    assert interval_over_groups(np.array([1.0, np.nan])) == math.inf
