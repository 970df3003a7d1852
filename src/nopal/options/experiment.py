"""Every choice between images and a trained learner, as plain data: what a run folder stores, a command line sets and a
recipe fixes."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from nopal.encoders.acai import ACAIOptions
from nopal.encoders.bigan import BiGANOptions
from nopal.encoders.classifier import ClassifierOptions
from nopal.errors import NopalError
from nopal.options.baselines import BaselineOptions, FineTunedEncoderOptions
from nopal.options.learners import FromScratchOptions, MetaLearnerOptions
from nopal.options.plain import LATER
from nopal.options.tasks import Classes, TaskOptions
from nopal.partitions.hyperplanes import Unit
from nopal.training import Decay

EncoderTraining = ACAIOptions | BiGANOptions | ClassifierOptions


@dataclasses.dataclass(frozen=True)
class EncoderOptions:
    """What turns an image into a vector."""

    name: Literal["raw", "pca", "pca_whitened", "zca", "acai", "bigan", "classifier"] = "pca"
    """raw pixels, principal components (plain or whitened), ZCA-whitened pixels; or trained step by step: an
    autoencoder, a bidirectional GAN, or a classifier, which unlike all others needs the labels of the images"""
    dimensions: int = 64
    """number of principal components; raw and zca keep one for each pixel"""
    acai: ACAIOptions = dataclasses.field(default=ACAIOptions(), metadata={"where": ("acai",)})
    """the autoencoder"""
    bigan: BiGANOptions = dataclasses.field(default=BiGANOptions(), metadata={"where": ("bigan",)})
    """the bidirectional GAN, best on small images: its networks are perceptrons"""
    classifier: ClassifierOptions = dataclasses.field(default=ClassifierOptions(), metadata={"where": ("classifier",)})
    """the classifier"""
    seed: int = dataclasses.field(default=0, metadata={"where": ("acai", "bigan", "classifier")})
    """of initial weights and batches, where the encoder is trained"""

    @property
    def training(self) -> EncoderTraining | None:
        """The choices of an encoder that is trained step by step."""
        trained: dict[str, EncoderTraining] = {"acai": self.acai, "bigan": self.bigan, "classifier": self.classifier}
        return trained.get(self.name)

    @property
    def steps(self) -> int:
        """Steps of training; 0 where there is none."""
        return self.training.steps if self.training else 0

    def with_training(self, steps: int, seed: int) -> EncoderOptions:
        """An encoder that is trained, for so many steps and with that seed; another one as it is."""
        if self.training is None:
            return self
        changed: dict[str, Any] = {self.name: dataclasses.replace(self.training, steps=steps)}
        return dataclasses.replace(self, seed=seed, **changed)


@dataclasses.dataclass(frozen=True)
class PartitionOptions:
    """How vectors are clustered, many times over."""

    clusters: int | None = None
    """clusters in each partition (k); by default a twentieth of the number of images, at most 500"""
    partitions: int = 50
    """how many times to cluster (P)"""
    scaled: bool = True
    """stretch each dimension by a random factor before all clusterings but the first, so that they differ more"""
    min_members: int = 0
    """with min_kept: a clustering is done again until enough clusters have this many members"""
    min_kept: float = 0.0
    """share of clusters that must have min_members members"""
    repeats: int = 1
    """k-means clusterings with the same factors, of which the tightest counts"""
    how: Literal["kmeans", "hyperplanes", "random"] = "kmeans"
    """by k-means, by random hyperplanes (at least `clusters` cells with min_members), or by random labels"""
    margin: float = 0.0
    """vectors nearer than this to a hyperplane are left out"""
    reach: float = 0.8
    """hyperplanes pass through points whose numbers are at most this; 0 means through the origin"""
    unit: Unit = dataclasses.field(default="number", metadata=LATER)
    """of margin and reach: the vectors' own numbers, or their spread (the root of the mean variance of a dimension),
    with the points about their mean"""
    seed: int = 0

    def for_images(self, images: int, way: int = 5) -> PartitionOptions:
        """These options with a number of clusters that suits so many images and tasks of that way."""
        many = way if self.how == "hyperplanes" else max(min(images // 20, 500), 2 * way)
        return dataclasses.replace(self, clusters=many if self.clusters is None else self.clusters)


LearnerOptions = MetaLearnerOptions | FromScratchOptions | BaselineOptions | FineTunedEncoderOptions


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """How a learner is meta-trained."""

    way: int = 5
    """classes (clusters) in a training task; 1 where numbers are predicted"""
    shot: int = 1
    """support examples for each class"""
    query: int = 5
    """query examples for each class"""
    tasks_per_step: int = 8
    """tasks over which the gradient is averaged"""
    steps: int = 3000
    """meta-training steps"""
    outer_rate: float = 1e-3
    """step size of Adam"""
    clip: float | None = None
    """largest absolute value of an entry of the gradient"""
    weight_decay: float | None = dataclasses.field(default=None, metadata=LATER)
    """how much weights shrink in every step: by this share times the step size of Adam, or by this share"""
    decay: Decay = dataclasses.field(default="times_rate", metadata=LATER)
    """which of the two: times_rate is what PyTorch and optax mean by it, per_step what TensorFlow's contrib meant"""
    fresh: tuple[str, ...] = dataclasses.field(default=(), metadata=LATER)
    """parameters, as patterns such as encoder.*, whose Adam begins anew in every step: an accident in published code"""
    anneal: bool = dataclasses.field(default=False, metadata=LATER)
    """let steps shrink to nothing along half a cosine, over all of them"""
    seed: int = 0
    """of initial weights and tasks"""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """From data to a learner. Without `partitions`, tasks of classes come from human labels; without `training`,
    nothing is trained."""

    learner: LearnerOptions
    encoder: EncoderOptions | None = None
    partitions: PartitionOptions | None = None
    training: TrainingOptions | None = None
    tasks: TaskOptions = dataclasses.field(default=Classes(), metadata=LATER)


def check_positive(options: Any, *names: str) -> None:
    """Raises `NopalError` where one of these choices is there and 0 or less; None is no choice."""
    for name in names:
        value = getattr(options, name, None)
        if value is not None and not value > 0:
            raise NopalError(f"The choice {name} is {value}; expected a number above 0.")
