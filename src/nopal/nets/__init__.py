"""Networks: called as `network(x, statistics)`, they return outputs and the normalisation statistics that they used."""

from nopal.nets.conv4 import Conv4
from nopal.nets.mlp import MLP
from nopal.nets.network import Network

__all__ = ["MLP", "Conv4", "Network"]
