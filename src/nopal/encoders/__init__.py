"""Encoders: images in, vectors out."""

from nopal.encoders.acai import ACAI, ACAIOptions
from nopal.encoders.arrays import Given
from nopal.encoders.bigan import BiGAN, BiGANOptions
from nopal.encoders.classifier import Classifier, ClassifierOptions
from nopal.encoders.encoder import Decodable, Encoder, load_encoder
from nopal.encoders.features import Features
from nopal.encoders.meta_learned import MetaLearned
from nopal.encoders.pixels import PCA, ZCA, Raw

__all__ = [
    "ACAI",
    "PCA",
    "ZCA",
    "ACAIOptions",
    "BiGAN",
    "BiGANOptions",
    "Classifier",
    "ClassifierOptions",
    "Decodable",
    "Encoder",
    "Features",
    "Given",
    "MetaLearned",
    "Raw",
    "load_encoder",
]
