"""parallel-metalearn's `MAML`, with all tasks in one chunk of its default backend, `torch.func.vmap`."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import networks
import torch
from metalearn.algorithms import MAML
from metalearn.inner_optimizers import InnerSGD
from metalearn.loss.base import BaseLoss
from metalearn.model_wrappers import MAML_Model


class Backbone(torch.nn.Module):
    """The whole network; the library passes modules words that ours don't know."""

    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor, **_: object) -> torch.Tensor:
        return self.network(x)


class Head(torch.nn.Module):
    def forward(self, x: torch.Tensor, **_: object) -> torch.Tensor:
        return x


class Loss(BaseLoss):
    def __init__(self, function: networks.Loss):
        super().__init__()
        self.function = function

    def forward(self, out_dict: dict, targets: torch.Tensor, model_states: dict | None = None, **_: object) -> tuple:
        value = self.function(out_dict["logits"], targets)
        return value, value.detach()


def prepare(work: dict, model: torch.nn.Module, episodes: list, optimiser: torch.optim.Optimizer) -> Callable:
    changed = [f"backbone.network.{name}" for name, _ in model.named_parameters() if networks.adapted(name)]
    wrapped = MAML_Model(Backbone(model), Head(), fast_weights_names=changed)
    inner = InnerSGD(wrapped.get_fast_weights(), inner_lr=work["inner_rate"], learn_lr=False)
    inner.to(next(model.parameters()).dtype)
    loss = Loss(networks.LOSSES[work["loss"]])
    algorithm = MAML(
        model=wrapped,
        optimizer=optimiser,
        inner_optimizer=inner,
        support_loss_fn=loss,
        inner_steps=work["inner_steps"],
        chunk_size=len(episodes[0]),
    )
    batches = itertools.repeat(tuple(episodes))
    return lambda: algorithm.step(batches)[0]
