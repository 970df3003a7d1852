"""Intervals of means."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy import stats


def interval_over_groups(means: Float[np.ndarray, "groups"]) -> float:
    """Half the width of the 95% interval of the mean over all groups that there might have been, of which these are a
    sample: by Student's t, as groups are few. NaN stands for a group that has no mean; infinite for fewer than two."""
    means = means[np.isfinite(means)]
    count = len(means)
    return float(stats.t.ppf(0.975, count - 1) * means.std(ddof=1)) / math.sqrt(count) if count > 1 else math.inf
