"""Task distributions: `sample(key)` draws an episode, inside compiled programs too."""

from nopal.tasks.classification import Classification
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.regression import Sinusoids
from nopal.tasks.target import Categorical, Gaussian

__all__ = ["Categorical", "Classification", "Episode", "Examples", "Gaussian", "Sinusoids"]
