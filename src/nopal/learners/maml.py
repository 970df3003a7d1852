"""Model-agnostic meta-learning (Finn, Abbeel, Levine 2017, arXiv 1703.03400): meta-train initial weights from which a
few gradient steps on a support set lead to a good model of the task."""

from __future__ import annotations

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Shaped

from nopal.data.images import as_float
from nopal.errors import NopalError, check_choice
from nopal.learners.learner import Aux, NormalisingLearner
from nopal.nets.network import Network
from nopal.nets.normalisation import Moments, Statistics
from nopal.nets.parameters import check_patterns, split_parameters
from nopal.numerics.mixed_mode import mixed_mode_gradient
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Categorical, Target

Rates = Literal["fixed", "per_tensor", "per_weight"]
Reduction = Literal["mean", "class_sum"]


class MAML(NormalisingLearner):
    """Gradient descent on the support set from meta-trained weights.

    `network(x, statistics)` returns outputs and the normalisation statistics it used (see `nopal.nets`). `adapted`
    names the parameters that the inner loop changes, as patterns over dotted paths such as `"*.kernel"` or `"head.*"`.
    `rates` may be meta-learned, one for each tensor (MAML++, arXiv 1810.09502) or for each weight (Meta-SGD, arXiv
    1707.09835), all starting at `inner_rate`. `reduction="class_sum"` is the sum over classes of the mean cross-entropy
    of each, as in CACTUs, so that the effective rate grows with the number of classes. Where a task has fewer classes
    than the network outputs, the first ones are used.

    Of each inner step the weights alone are kept and its passes are repeated (`mixed_mode_gradient`), so that memory
    hardly grows with the steps. `rematerialise=False` keeps everything, as plain reverse-mode differentiation does: the
    same derivatives in several times the memory, for machines on which that is faster.
    """

    network: Network
    rates: PyTree[Float[Array, "..."]] | None
    running: tuple[Moments, ...] | None
    inner_rate: float = eqx.field(static=True)
    inner_steps: int = eqx.field(static=True)
    test_steps: int = eqx.field(static=True)
    first_order: bool = eqx.field(static=True)
    adapted: tuple[str, ...] = eqx.field(static=True)
    reduction: Reduction = eqx.field(static=True)
    query_statistics: Statistics = eqx.field(static=True)
    rematerialise: bool = eqx.field(static=True)

    def __init__(
        self,
        network: Network,
        *,
        inner_rate: float = 0.25,
        inner_steps: int = 5,
        test_steps: int | None = None,
        first_order: bool = False,
        adapted: tuple[str, ...] = ("*",),
        rates: Rates = "fixed",
        reduction: Reduction = "mean",
        statistics: Statistics = "support",
        rematerialise: bool = True,
    ):
        """Raises `NopalError` for a rate or a number of steps that is not positive, and for a pattern that names no
        parameter."""
        if not 0 < inner_rate < float("inf"):
            raise NopalError(f"The inner rate is {inner_rate}; expected a number above 0, for instance 0.25.")
        if inner_steps < 1 or (test_steps is not None and test_steps < 1):
            raise NopalError(
                f"Inner steps are {inner_steps} (training) and {test_steps} (test); expected at least 1 of each."
            )
        self.network, self.running = network, None
        self.inner_rate, self.inner_steps, self.test_steps = inner_rate, inner_steps, test_steps or inner_steps
        self.first_order, self.adapted, self.reduction = first_order, tuple(adapted), reduction
        self.query_statistics, self.rematerialise = statistics, rematerialise
        check_patterns(network, adapted)
        check_choice("rates", rates, Rates)
        check_choice("reduction", reduction, Reduction)
        initial = {
            "fixed": lambda w: None,
            "per_tensor": lambda w: jnp.full((), inner_rate, w.dtype),
            "per_weight": lambda w: jnp.full(w.shape, inner_rate, w.dtype),
        }[rates]
        self.rates = None if rates == "fixed" else jax.tree.map(initial, self._split()[0])

    @property
    def steps(self) -> int:
        return self.test_steps

    def _split(self) -> tuple[PyTree, PyTree]:
        """The network's adapted parameters, and all the rest."""
        return split_parameters(self.network, self.adapted)

    def adapt(self, support: Examples | None, *, key: PRNGKeyArray | None = None, steps: int | None = None) -> Adapted:
        """See `Learner.adapt`; without a support set, and so without its statistics, inputs are normalised by their own
        unless statistics are running."""
        if self.statistics == "running" and self.running is None:
            raise NopalError("This network has no running statistics yet; call nopal.calibrate after meta-training.")
        if steps is not None and steps < 0:
            raise NopalError(f"Inner steps are {steps}; expected 0 or more.")
        if support is None:
            return Adapted(self.network, self.running if self.query_statistics == "running" else None, None)
        network = self._descend(support, self.test_steps if steps is None else steps)
        return Adapted(network, self._statistics(network, support), support.target)

    def loss(self, episode: Episode, *, key: PRNGKeyArray | None = None) -> tuple[Float[Array, ""], Aux]:
        return self.judge(self.answer_in_training(episode, self.inner_steps), episode.query)

    def answer_in_training(self, episode: Episode, steps: int) -> Float[Array, "m parameters"]:
        """Predictions for the queries after so many steps, normalised as meta-training does."""
        network = self._descend(episode.support, steps)
        # Running statistics are gathered after meta-training, which normalises the queries by their own.
        moments = self._statistics(network, episode.support) if self.query_statistics == "support" else None
        return Adapted(network, moments, episode.target)(episode.query.x)

    def judge(self, outputs: Float[Array, "m parameters"], query: Examples) -> tuple[Float[Array, ""], Aux]:
        """The loss of predictions, and their score."""
        return self._reduce(outputs, query), {"score": query.target.score(outputs, query.y).mean()}

    def _statistics(self, network: Network, support: Examples) -> tuple[Moments, ...] | None:
        if self.query_statistics == "support":
            return network(support.x)[1]
        return self.running if self.query_statistics == "running" else None

    def episode_statistics(self, episode: Episode) -> tuple[Moments, ...] | None:
        if self.query_statistics != "running":
            return None
        return self._descend(episode.support, self.test_steps)(episode.query.x)[1]

    def _reduce(self, outputs: Float[Array, "m outputs"], examples: Examples) -> Float[Array, ""]:
        losses = examples.target.loss(outputs, examples.y)
        if self.reduction == "mean":
            return losses.mean()
        if not isinstance(examples.target, Categorical):
            raise NopalError(
                f"The loss can't be summed over classes where {examples.target} is predicted; use reduction='mean'."
            )
        return (losses / jnp.sum(examples.y[:, None] == examples.y[None], axis=1)).sum()

    def _descend(self, support: Examples, steps: int) -> Network:
        """The network after `steps` steps of gradient descent on `support`."""
        adapted, rest = self._split()
        arrays, static = eqx.partition(rest, eqx.is_array)

        def loss(adapted: PyTree, other: tuple[PyTree, Examples]) -> Float[Array, ""]:
            arrays, support = other
            network = eqx.combine(adapted, arrays, static)
            return self._reduce(_first(network(support.x)[0], support.target), support)

        mixed = self.rematerialise and not self.first_order
        gradient = mixed_mode_gradient(loss) if mixed else jax.grad(loss)

        def step(adapted: PyTree, _: None) -> tuple[PyTree, None]:
            slope = gradient(adapted, (arrays, support))
            if self.first_order:
                slope = jax.lax.stop_gradient(slope)
            if self.rates is None:
                return jax.tree.map(lambda w, g: w - self.inner_rate * g, adapted, slope), None
            return jax.tree.map(lambda w, g, r: w - r * g, adapted, slope, self.rates), None

        if steps == 1:
            # Within a loop, vectorised tasks would each have a copy of the weights that they all begin with.
            adapted, _ = step(adapted, None)
        else:
            adapted, _ = jax.lax.scan(step, adapted, None, length=steps)
        return eqx.combine(adapted, arrays, static)


class Adapted(eqx.Module):
    """A network that has seen its support set: inputs -> parameters of the target."""

    network: Network
    moments: tuple[Moments, ...] | None
    target: Target | None = eqx.field(static=True)

    def __call__(self, x: Shaped[Array, "m ..."]) -> Float[Array, "m parameters"]:
        return _first(self.network(as_float(x), self.moments)[0], self.target)


def _first(outputs: Float[Array, "m outputs"], target: Target | None) -> Float[Array, "m parameters"]:
    """The first outputs, as many as the target needs."""
    if target is None:
        return outputs
    if outputs.shape[1] < target.width:
        raise NopalError(
            f"The task has {target.width} classes, but the network was meta-trained for {outputs.shape[1]}; "
            f"train with a way of at least {target.width}."
        )
    return outputs[:, : target.width]
