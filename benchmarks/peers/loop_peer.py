"""A loop over tasks as in learn2learn (whose last release can't be built for Python 3.11 and later): weights are
cloned, gradients kept in the graph, and each task's meta-loss differentiated before the next task begins."""

from __future__ import annotations

from collections.abc import Callable

import networks
import torch


def prepare(work: dict, model: torch.nn.Module, episodes: list, optimiser: torch.optim.Optimizer) -> Callable:
    network, loss = networks.FUNCTIONS[work["network"]], networks.LOSSES[work["loss"]]
    weights = dict(model.named_parameters())
    names = [name for name in weights if networks.adapted(name)]
    count = len(episodes[0])

    def step() -> float:
        optimiser.zero_grad()
        total = 0.0
        for sx, sy, qx, qy in zip(*episodes):
            clone = {name: w.clone() for name, w in weights.items()}
            for _ in range(work["inner_steps"]):
                slopes = torch.autograd.grad(
                    loss(network(clone, sx), sy), [clone[name] for name in names], create_graph=True
                )
                clone |= {name: clone[name] - work["inner_rate"] * slope for name, slope in zip(names, slopes)}
            value = loss(network(clone, qx), qy) / count
            value.backward()
            total += value.item()
        optimiser.step()
        return total

    return step


def prepare_adaptation(work: dict, model: torch.nn.Module, episodes: list) -> Callable:
    network, loss = networks.FUNCTIONS[work["network"]], networks.LOSSES[work["loss"]]
    weights = {name: w.detach() for name, w in model.named_parameters()}

    def adapt() -> tuple[list[torch.Tensor], torch.Tensor]:
        moved, losses = [], []
        for sx, sy, qx, qy in zip(*episodes):
            changed = {name: w.clone().requires_grad_() for name, w in weights.items() if networks.adapted(name)}
            for _ in range(work["inner_steps"]):
                slopes = torch.autograd.grad(loss(network(weights | changed, sx), sy), list(changed.values()))
                with torch.no_grad():
                    for w, slope in zip(changed.values(), slopes):
                        w -= work["inner_rate"] * slope
            with torch.no_grad():
                moved += [w - weights[name] for name, w in changed.items()]
                losses.append(loss(network(weights | changed, qx), qy))
        return moved, torch.stack(losses)

    return adapt
