"""Ways to divide rows into clusters, from which tasks are drawn."""

from nopal.partitions.classes import Exclusivity, from_classes
from nopal.partitions.clustering import from_kmeans
from nopal.partitions.hyperplanes import from_hyperplanes
from nopal.partitions.labels import from_labels
from nopal.partitions.partition import Partitions, concatenate
from nopal.partitions.random import from_random_labels
from nopal.partitions.summary import Summary, summarise

__all__ = [
    "Exclusivity",
    "Partitions",
    "Summary",
    "concatenate",
    "from_classes",
    "from_hyperplanes",
    "from_kmeans",
    "from_labels",
    "from_random_labels",
    "summarise",
]
