"""All tasks at once by `torch.func.vmap`; the outer gradient by autograd, which is faster than `torch.func.grad`."""

from __future__ import annotations

from collections.abc import Callable

import networks
import torch


def prepare(work: dict, model: torch.nn.Module, episodes: list, optimiser: torch.optim.Optimizer) -> Callable:
    network, loss = networks.FUNCTIONS[work["network"]], networks.LOSSES[work["loss"]]
    weights = dict(model.named_parameters())

    def support_loss(changed: networks.Weights, fixed: networks.Weights, x: torch.Tensor, y: torch.Tensor):
        return loss(network(fixed | changed, x), y)

    slope = torch.func.grad(support_loss)

    def task(weights: networks.Weights, sx, sy, qx, qy) -> torch.Tensor:
        changed = {name: w for name, w in weights.items() if networks.adapted(name)}
        for _ in range(work["inner_steps"]):
            slopes = slope(changed, weights, sx, sy)
            changed = {name: w - work["inner_rate"] * slopes[name] for name, w in changed.items()}
        return loss(network(weights | changed, qx), qy)

    def step() -> float:
        optimiser.zero_grad()
        value = torch.func.vmap(task, (None, 0, 0, 0, 0))(weights, *episodes).mean()
        value.backward()
        optimiser.step()
        return value.item()

    return step


def prepare_adaptation(work: dict, model: torch.nn.Module, episodes: list) -> Callable:
    network, loss = networks.FUNCTIONS[work["network"]], networks.LOSSES[work["loss"]]
    weights = {name: w.detach() for name, w in model.named_parameters()}
    count = len(episodes[0])
    slope = torch.func.vmap(torch.func.grad(lambda changed, x, y: loss(network(weights | changed, x), y)))
    query = torch.func.vmap(lambda changed, x, y: loss(network(weights | changed, x), y))

    def adapt() -> tuple[list[torch.Tensor], torch.Tensor]:
        changed = {name: w.repeat(count, *(1,) * w.ndim) for name, w in weights.items() if networks.adapted(name)}
        with torch.no_grad():
            for _ in range(work["inner_steps"]):
                slopes = slope(changed, *episodes[:2])
                changed = {name: w - work["inner_rate"] * slopes[name] for name, w in changed.items()}
            return [w - weights[name] for name, w in changed.items()], query(changed, *episodes[2:])

    return adapt
