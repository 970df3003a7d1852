"""Ways to divide rows into clusters, from which tasks are drawn."""

from nopal.partitions.clustering import from_kmeans
from nopal.partitions.labels import from_labels
from nopal.partitions.partition import Partitions, concatenate
from nopal.partitions.summary import Summary, summarise

__all__ = ["Partitions", "Summary", "concatenate", "from_kmeans", "from_labels", "summarise"]
