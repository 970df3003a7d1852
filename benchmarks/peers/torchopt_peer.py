"""TorchOpt's functional optimiser over a function of the weights, task by task."""

from __future__ import annotations

from collections.abc import Callable

import networks
import torch
import torchopt


def prepare(work: dict, model: torch.nn.Module, episodes: list, optimiser: torch.optim.Optimizer) -> Callable:
    network, loss = networks.FUNCTIONS[work["network"]], networks.LOSSES[work["loss"]]
    weights, count = dict(model.named_parameters()), len(episodes[0])
    names = [name for name in weights if networks.adapted(name)]

    def step() -> float:
        optimiser.zero_grad()
        total = 0.0
        for sx, sy, qx, qy in zip(*episodes):
            inner = torchopt.FuncOptimizer(torchopt.sgd(lr=work["inner_rate"], moment_requires_grad=True))
            changed = tuple(weights[name] for name in names)
            for _ in range(work["inner_steps"]):
                changed = inner.step(loss(network(weights | dict(zip(names, changed)), sx), sy), changed)
            value = loss(network(weights | dict(zip(names, changed)), qx), qy) / count
            value.backward()
            total += value.item()
        optimiser.step()
        return total

    return step
