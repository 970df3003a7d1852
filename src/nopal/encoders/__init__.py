"""Encoders: images in, vectors out."""

from nopal.encoders.acai import ACAI, ACAIOptions
from nopal.encoders.arrays import Given
from nopal.encoders.encoder import Encoder, load_encoder
from nopal.encoders.meta_learned import MetaLearned
from nopal.encoders.pixels import PCA, ZCA, Raw

__all__ = ["ACAI", "PCA", "ZCA", "ACAIOptions", "Encoder", "Given", "MetaLearned", "Raw", "load_encoder"]
