"""higher's `innerloop_ctx` around every task, as in its example of MAML on Omniglot."""

from __future__ import annotations

from collections.abc import Callable

import higher
import networks
import torch


def prepare(work: dict, model: torch.nn.Module, episodes: list, optimiser: torch.optim.Optimizer) -> Callable:
    loss, count = networks.LOSSES[work["loss"]], len(episodes[0])
    changed = [w for name, w in model.named_parameters() if networks.adapted(name)]
    inner = torch.optim.SGD(changed, lr=work["inner_rate"])

    def step() -> float:
        optimiser.zero_grad()
        total = 0.0
        for sx, sy, qx, qy in zip(*episodes):
            with higher.innerloop_ctx(model, inner, copy_initial_weights=False) as (network, descend):
                for _ in range(work["inner_steps"]):
                    descend.step(loss(network(sx), sy))
                value = loss(network(qx), qy) / count
                value.backward()
                total += value.item()
        optimiser.step()
        return total

    return step
