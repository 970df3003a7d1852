"""Networks: called as `network(x, statistics)`, they return outputs and the normalisation statistics that they used.
With noise in them they are called by `encode(x, key)`."""

from nopal.nets.bottleneck import Bottleneck
from nopal.nets.chain import Chain
from nopal.nets.conv4 import Conv4
from nopal.nets.conv_encoder import ConvEncoder
from nopal.nets.mean_field import MeanField
from nopal.nets.mlp import MLP
from nopal.nets.network import Network

__all__ = ["MLP", "Bottleneck", "Chain", "Conv4", "ConvEncoder", "MeanField", "Network"]
