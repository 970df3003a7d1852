"""The choices of neural processes, as plain data."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from jaxtyping import PRNGKeyArray

from nopal.learners.attentive_neural_process import AttentiveNeuralProcess
from nopal.learners.conditional_neural_process import ConditionalNeuralProcess, OverQueries
from nopal.learners.neural_process import NeuralProcess
from nopal.options.learners import MetaLearnerOptions
from nopal.options.plain import LATER
from nopal.tasks.target import Target


@dataclasses.dataclass(frozen=True)
class CNPOptions(MetaLearnerOptions):
    """Conditional neural process."""

    method: ClassVar[str] = "cnp"
    title: ClassVar[str] = "CNP"
    representation: int = 100
    """numbers that an example becomes, of which the mean is taken"""
    hidden: tuple[int, ...] = (100, 100)
    """hidden units of both networks, to that and from it"""
    summary: int | None = None
    """numbers that a linear layer makes of the mean; the mean itself by default"""
    lift: int | None = None
    """numbers that a linear layer makes of a label; the label itself by default"""
    deviation: float | None = None
    """standard deviation of initial weights before the decoder; Glorot-uniform by default"""
    decoder_deviation: float | None = dataclasses.field(default=None, metadata=LATER)
    """the same of the decoder"""
    over_queries: OverQueries = "mean"
    """of the loss: mean or sum"""

    def build(self, shape: tuple[int, ...], target: Target, key: PRNGKeyArray) -> ConditionalNeuralProcess:
        return ConditionalNeuralProcess(math.prod(shape), target, key=key, **dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True)
class NPOptions(MetaLearnerOptions):
    """Neural process."""

    method: ClassVar[str] = "np"
    title: ClassVar[str] = "NP"
    latent: int = 64
    """numbers of a task's latent vector"""
    representation: int = 100
    """numbers that an example becomes"""
    hidden: tuple[int, ...] = (100, 100)
    """hidden units of every network"""
    over_queries: OverQueries = "mean"
    """of the loss: mean or sum"""
    samples: int = 0
    """latent vectors over which predictions average; 0 for the mean of them"""

    def build(self, shape: tuple[int, ...], target: Target, key: PRNGKeyArray) -> NeuralProcess:
        return NeuralProcess(math.prod(shape), target, key=key, **dataclasses.asdict(self))


@dataclasses.dataclass(frozen=True)
class ANPOptions(NPOptions):
    """Attentive neural process."""

    method: ClassVar[str] = "anp"
    title: ClassVar[str] = "ANP"
    representation: int = 96
    hidden: tuple[int, ...] = (96, 96)
    heads: int = 8
    """of attention; they share the representation"""

    def build(self, shape: tuple[int, ...], target: Target, key: PRNGKeyArray) -> AttentiveNeuralProcess:
        return AttentiveNeuralProcess(math.prod(shape), target, key=key, **dataclasses.asdict(self))
