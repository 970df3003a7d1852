"""The choices of learners with one network, as plain data."""

from __future__ import annotations

import abc
import dataclasses
from typing import ClassVar

from jaxtyping import PRNGKeyArray

from nopal.learners.angular_ridge import AngularRidge
from nopal.learners.from_scratch import FromScratch
from nopal.learners.learner import MetaLearner
from nopal.learners.maml import MAML, Rates, Reduction
from nopal.learners.protonet import ProtoNet
from nopal.learners.ridge import Ridge, RidgeLearner
from nopal.nets.conv4 import Conv4, Downsample, Readout
from nopal.nets.mlp import MLP
from nopal.nets.network import Network
from nopal.nets.normalisation import Statistics
from nopal.options.plain import LATER
from nopal.tasks.circle import VonMises
from nopal.tasks.target import Target


class MetaLearnerOptions(abc.ABC):
    """The choices of one kind of meta-learner, a frozen dataclass. Each subclass is known to runs, records and recipes
    by its `method` from its import on."""

    method: ClassVar[str]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "method" not in vars(cls):
            raise TypeError(f"{cls.__name__} needs a `method` of its own: by its name files know it.")

    @property
    @abc.abstractmethod
    def title(self) -> str:
        """What tables call it."""

    @abc.abstractmethod
    def build(self, shape: tuple[int, ...], target: Target, key: PRNGKeyArray) -> MetaLearner:
        """A learner with fresh weights for inputs of `shape`."""


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """The four-block convolutional network under a learner, or a perceptron."""

    filters: int = 32
    """feature maps of each of the four blocks"""
    downsample: Downsample = "stride"
    """halve images by convolutions of stride 2, or by pooling (better from 84 x 84 on, and slower)"""
    readout: Readout = "mean"
    """average the last feature map over its places, or flatten it"""
    scale: bool = True
    """whether normalisation learns a scale beside its shift"""
    epsilon: float = 1e-5
    """added to the variance in normalisation"""
    hidden: tuple[int, ...] = dataclasses.field(default=(40, 40), metadata=LATER)
    """where inputs are vectors: hidden units of a perceptron, which takes the network's place"""

    def network(
        self, shape: tuple[int, ...], outputs: int | None, key: PRNGKeyArray, head_deviation: float | None = None
    ) -> Network:
        """Fresh weights for images or vectors of `shape`."""
        if len(shape) == 1:
            *hidden, last = self.hidden if outputs is None else (*self.hidden, outputs)
            return MLP(shape[0], last, hidden=tuple(hidden), deviation=head_deviation, key=key)
        height, width, channels = shape
        return Conv4(
            (height, width, channels),
            outputs,
            filters=self.filters,
            downsample=self.downsample,
            readout=self.readout,
            scale=self.scale,
            epsilon=self.epsilon,
            head_deviation=head_deviation,
            key=key,
        )


@dataclasses.dataclass(frozen=True)
class MAMLOptions(NetworkOptions, MetaLearnerOptions):
    """Model-agnostic meta-learning: a few gradient steps on the support set from meta-trained weights."""

    method: ClassVar[str] = "maml"
    title: ClassVar[str] = "MAML"
    head_deviation: float | None = None
    """standard deviation of the output layer's initial weights; Glorot-uniform by default"""
    inner_rate: float = 0.25
    """step size on the support set"""
    inner_steps: int = 5
    """gradient steps on the support set in meta-training"""
    test_steps: int = 10
    """the same at test"""
    first_order: bool = False
    """ignore second derivatives: faster, usually a little worse"""
    adapted: tuple[str, ...] = ("*",)
    """parameters that adapt, as patterns such as *.kernel; those of a pattern such as !head.* don't"""
    rates: Rates = "fixed"
    """inner rates: fixed, or learned for each tensor or weight"""
    reduction: Reduction = "mean"
    """mean over examples, or the sum over classes of the mean of each, as published"""
    statistics: Statistics = "support"
    """what normalises queries: the support set, all queries together (transductive), or running statistics"""
    rematerialise: bool = dataclasses.field(default=True, metadata=LATER)
    """repeat the passes of inner steps, so that memory hardly grows with them; otherwise everything is kept"""

    def build(self, shape: tuple[int, ...], target: Target, key: PRNGKeyArray) -> MAML:
        network = self.network(shape, target.width, key, self.head_deviation)
        return MAML(
            network,
            inner_rate=self.inner_rate,
            inner_steps=self.inner_steps,
            test_steps=self.test_steps,
            first_order=self.first_order,
            adapted=self.adapted,
            rates=self.rates,
            reduction=self.reduction,
            statistics=self.statistics,
            rematerialise=self.rematerialise,
        )


@dataclasses.dataclass(frozen=True)
class ProtoNetOptions(NetworkOptions, MetaLearnerOptions):
    """Prototypical networks: the nearest class mean in a meta-trained embedding."""

    method: ClassVar[str] = "protonet"
    title: ClassVar[str] = "ProtoNets"
    filters: int = 64
    """feature maps of each of the four blocks"""
    downsample: Downsample = "pool"
    """halve images by pooling, or by convolutions of stride 2: faster"""
    readout: Readout = "flatten"
    """flatten the last feature map, or average it over its places"""
    statistics: Statistics = "running"
    """what normalises activations at test: running statistics, the support set, or support and queries together
    (transductive)"""

    def build(self, shape: tuple[int, ...], target: Target, key: PRNGKeyArray) -> ProtoNet:
        """Any number of classes will do."""
        return ProtoNet(self.network(shape, None, key), statistics=self.statistics)


@dataclasses.dataclass(frozen=True)
class RidgeOptions(NetworkOptions, MetaLearnerOptions):
    """Ridge regression, in closed form, on a meta-trained embedding."""

    method: ClassVar[str] = "ridge"
    title: ClassVar[str] = "ridge regression"
    filters: int = 64
    """feature maps of each of the four blocks"""
    readout: Readout = "flatten"
    """flatten the last feature map, or average it over its places"""
    penalty: float = 0.1
    """of the squared weights at the beginning; it is meta-trained"""
    statistics: Statistics = "support"
    """what normalises activations at test: the support set, running statistics, or support and queries together
    (transductive)"""

    def build(self, shape: tuple[int, ...], target: Target, key: PRNGKeyArray) -> RidgeLearner:
        network = self.network(shape, None, key)
        if isinstance(target, VonMises):
            return AngularRidge(network, target, penalty=self.penalty, statistics=self.statistics)
        return Ridge(network, target, penalty=self.penalty, statistics=self.statistics)


@dataclasses.dataclass(frozen=True)
class FromScratchOptions(NetworkOptions):
    """Gradient descent on each support set from the same random weights; nothing is meta-trained."""

    method: ClassVar[str] = "from_scratch"
    title: ClassVar[str] = "from scratch"
    head_deviation: float | None = None
    """standard deviation of the output layer's initial weights; Glorot-uniform by default"""
    rate: float = 0.5
    """step size on the support set"""
    steps: int = 200
    """gradient steps on the support set"""
    adapted: tuple[str, ...] = ("*",)
    """parameters that are trained, as patterns such as *.kernel"""
    reduction: Reduction = "mean"
    """mean over examples, or the sum over classes of the mean of each, as published"""
    statistics: Statistics = "support"
    """what normalises queries: the support set, or all queries together (transductive)"""

    def build(self, shape: tuple[int, ...], target: Target, key: PRNGKeyArray) -> FromScratch:
        """A learner with random weights for inputs of `shape`."""
        network = self.network(shape, target.width, key, self.head_deviation)
        return FromScratch(
            network,
            rate=self.rate,
            steps=self.steps,
            adapted=self.adapted,
            reduction=self.reduction,
            query_statistics=self.statistics,
        )
