"""The choices of Yin et al. 2020 (arXiv 1912.03820), of what they compare with and of what may stand around it, as
plain data: an encoder before a learner that is not adapted, other regularisers; for angles, views with their mirror
images and errors on left-out examples."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, Literal

import jax
from jaxtyping import PRNGKeyArray

from nopal.errors import check_choice
from nopal.learners.bayes_by_backprop import BayesByBackprop
from nopal.learners.cross_validated import CrossValidated
from nopal.learners.fine_tuning import FineTuning
from nopal.learners.meta_regularisation import Draws, MetaRegularised, Of
from nopal.learners.mirrored import Mirrored
from nopal.learners.taml import TAML, Regulariser
from nopal.nets.bottleneck import Bottleneck, OverDimensions
from nopal.nets.chain import Chain
from nopal.nets.conv_encoder import ConvEncoder
from nopal.nets.mean_field import MeanField
from nopal.nets.mlp import MLP
from nopal.nets.network import Network
from nopal.nets.normalisation import Statistics
from nopal.options.learners import MAMLOptions, MetaLearnerOptions, NetworkOptions
from nopal.options.neural_processes import CNPOptions
from nopal.tasks.target import Target

Noise = Literal["none", "weights", "activations"]


def scale_of(rho: float) -> float:
    """The standard deviation that the published codes write as its inverse softplus, `var`."""
    return math.log1p(math.exp(rho))


@dataclasses.dataclass(frozen=True)
class FeatureOptions:
    """The network from inputs to features: convolutions for images, a perceptron for vectors."""

    features: tuple[int, ...] = (196,)
    """shape of what it makes of one input"""
    filters: tuple[int, ...] = (32, 48, 64)
    """feature maps of the convolutions"""
    hidden: tuple[int, ...] = (100,)
    """where inputs are vectors: hidden units of the perceptron"""
    activation: bool = True
    """ReLU after the convolutions"""
    activate_outputs: bool = False
    """ReLU after the last layer of the convolutional network"""
    deviation: float | None = None
    """standard deviation of initial kernels; Glorot-uniform by default"""

    def network(self, shape: tuple[int, ...], key: PRNGKeyArray, per_feature: int = 1) -> Network:
        """Fresh weights for inputs of `shape`, with `per_feature` outputs for each feature."""
        outputs = per_feature * math.prod(self.features)
        if len(shape) == 1:
            return MLP(shape[0], outputs, hidden=self.hidden, deviation=self.deviation, key=key)
        height, width, channels = shape
        return ConvEncoder(
            (height, width, channels),
            outputs,
            filters=self.filters,
            activation=self.activation,
            activate_outputs=self.activate_outputs,
            deviation=self.deviation,
            key=key,
        )


@dataclasses.dataclass(frozen=True)
class EncodedNetworkOptions(NetworkOptions):
    """A network that begins with another one, which makes features of images."""

    before: FeatureOptions | None = None
    """the first network, adapted as the rest is"""

    def network(
        self, shape: tuple[int, ...], outputs: int | None, key: PRNGKeyArray, head_deviation: float | None = None
    ) -> Network:
        if self.before is None:
            return super().network(shape, outputs, key, head_deviation)
        first, second = jax.random.split(key)
        head = super().network(self.before.features, outputs, second, head_deviation)
        return Chain(self.before.network(shape, first), head)


@dataclasses.dataclass(frozen=True)
class WholeMAMLOptions(EncodedNetworkOptions, MAMLOptions):
    """MAML that adapts its encoder with all the rest."""

    method: ClassVar[str] = "whole_maml"


@dataclasses.dataclass(frozen=True)
class TAMLOptions(MAMLOptions):
    """MAML whose initial weights prefer no task."""

    method: ClassVar[str] = "taml"
    title: ClassVar[str] = "TAML"
    regulariser: Regulariser = "entropy"
    """what initial weights are asked for: uncertain predictions (entropy), or losses that are alike among tasks, by one
    of three measures of inequality"""
    weight: float = 0.1
    """of the regulariser, beside the loss"""

    def build(self, shape: tuple[int, ...], target: Target, key: PRNGKeyArray) -> TAML:  # type: ignore[override]
        return TAML(super().build(shape, target, key), regulariser=self.regulariser, weight=self.weight)


@dataclasses.dataclass(frozen=True)
class FineTuningOptions(EncodedNetworkOptions, MetaLearnerOptions):
    """One model of all tasks, then gradient descent on a support set."""

    method: ClassVar[str] = "fine_tuning"
    title: ClassVar[str] = "fine-tuning"
    rate: float = 0.01
    """step size on the support set"""
    steps: int = 20
    """gradient steps on the support set"""
    adapted: tuple[str, ...] = ("*",)
    """parameters that adapt, as patterns such as *.kernel"""
    statistics: Statistics = "support"
    """what normalises queries: the support set, or all queries together (transductive)"""
    head_deviation: float | None = None
    """standard deviation of the output layer's initial weights; Glorot-uniform by default"""

    def build(self, shape: tuple[int, ...], target: Target, key: PRNGKeyArray) -> FineTuning:
        network = self.network(shape, target.width, key, self.head_deviation)
        return FineTuning(network, rate=self.rate, steps=self.steps, adapted=self.adapted, statistics=self.statistics)


@dataclasses.dataclass(frozen=True)
class RegularisedOptions(MetaLearnerOptions):
    """A learner on features that an encoder makes, which is not adapted and may be regularised."""

    method: ClassVar[str] = "meta_regularised"
    learner: MetaLearnerOptions = dataclasses.field(default=CNPOptions())
    encoder: FeatureOptions = FeatureOptions()
    noise: Noise = "weights"
    """what is drawn: nothing, the encoder's weights (W), or what it makes of an input (A)"""
    beta: float = 0.0
    """strength of regularisation"""
    scale: float = 0.05
    """standard deviation of weights before training"""
    draws: Draws = "step"
    """what has its own draw of weights: a step, a task, or a call of the encoder"""
    of: Of = "query"
    """whose activations are regularised"""
    over_dimensions: OverDimensions = "sum"
    """of their divergence"""
    samples: int = 0
    """draws that predictions average; 0 for the means"""

    @property
    def title(self) -> str:
        return f"meta-regularised {self.learner.title}"

    def build(self, shape: tuple[int, ...], target: Target, key: PRNGKeyArray) -> MetaRegularised:
        check_choice("noise", self.noise, Noise)
        first, second = jax.random.split(key)
        network = self.encoder.network(shape, first, 2 if self.noise == "activations" else 1)
        encoder: Network | MeanField[Network] | Bottleneck = network
        if self.noise == "weights":
            encoder = MeanField(network, scale=self.scale)
        elif self.noise == "activations":
            encoder = Bottleneck(network, self.over_dimensions)
        return MetaRegularised(
            encoder,
            self.learner.build(self.encoder.features, target, second),
            beta=self.beta,
            draws=self.draws,
            of=self.of,
            samples=self.samples,
        )


@dataclasses.dataclass(frozen=True)
class BayesByBackpropOptions(MetaLearnerOptions):
    """Any of these learners, all of whose weights are drawn."""

    method: ClassVar[str] = "bayes_by_backprop"
    learner: MetaLearnerOptions = RegularisedOptions(noise="none")
    beta: float = 1e-3
    """strength of regularisation"""
    scale: float = 0.05
    """standard deviation of weights before training"""
    samples: int = 0
    """draws that predictions average; 0 for the means"""

    @property
    def title(self) -> str:
        return f"{self.learner.title} with all weights drawn"

    def build(self, shape: tuple[int, ...], target: Target, key: PRNGKeyArray) -> BayesByBackprop:
        learner = self.learner.build(shape, target, key)
        return BayesByBackprop(learner, beta=self.beta, scale=self.scale, samples=self.samples)


@dataclasses.dataclass(frozen=True)
class MirroredOptions(MetaLearnerOptions):
    """Any of these learners of angles, which sees each view's mirror image, too."""

    method: ClassVar[str] = "mirrored"
    learner: MetaLearnerOptions = RegularisedOptions(noise="none")
    axis: float = 0.5
    """where the mirror stands, as a share of an image's width"""

    @property
    def title(self) -> str:
        return f"{self.learner.title} with mirror images"

    def build(self, shape: tuple[int, ...], target: Target, key: PRNGKeyArray) -> Mirrored:
        return Mirrored(self.learner.build(shape, target, key), self.axis)


@dataclasses.dataclass(frozen=True)
class CrossValidatedOptions(MetaLearnerOptions):
    """Any of these learners of angles, whose predictions are as uncertain as its errors on left-out examples."""

    method: ClassVar[str] = "cross_validated"
    learner: MetaLearnerOptions = RegularisedOptions(noise="none")
    folds: int = 5
    """at most so many parts of the support set are left out, one after the other"""

    @property
    def title(self) -> str:
        return f"{self.learner.title}, cross-validated"

    def build(self, shape: tuple[int, ...], target: Target, key: PRNGKeyArray) -> CrossValidated:
        return CrossValidated(self.learner.build(shape, target, key), self.folds)
