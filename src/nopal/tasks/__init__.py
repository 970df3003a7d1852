"""Task distributions: `sample(key)` draws an episode, inside compiled programs too."""

from nopal.tasks.augmentation import Augmented
from nopal.tasks.circle import Circular, VonMises
from nopal.tasks.classification import Classification
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.notebook_sinusoids import NotebookSinusoids
from nopal.tasks.poses import Poses
from nopal.tasks.regression import Sinusoids
from nopal.tasks.target import Categorical, Gaussian

__all__ = [
    "Augmented",
    "Categorical",
    "Circular",
    "Classification",
    "Episode",
    "Examples",
    "Gaussian",
    "NotebookSinusoids",
    "Poses",
    "Sinusoids",
    "VonMises",
]
