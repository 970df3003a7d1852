"""Encoders: images in, vectors out."""

from nopal.encoders.arrays import Given
from nopal.encoders.encoder import Encoder, load_encoder
from nopal.encoders.pixels import PCA, ZCA, Raw

__all__ = ["PCA", "ZCA", "Encoder", "Given", "Raw", "load_encoder"]
