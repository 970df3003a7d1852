"""Plain PyTorch: an episode, its examples sorted by class, as one batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F


def prepare(work: dict, model: torch.nn.Module, episodes: list, optimiser: torch.optim.Optimizer) -> Callable:
    support_x, support_y, query_x, query_y = (a[0] for a in episodes)
    way = int(support_y.max()) + 1

    def step() -> float:
        optimiser.zero_grad()
        support, queries = model(torch.cat([support_x, query_x])).split([len(support_y), len(query_y)])
        prototypes = support.reshape(way, -1, support.shape[1]).mean(1)
        value = F.cross_entropy(-(torch.cdist(queries, prototypes) ** 2), query_y)
        value.backward()
        optimiser.step()
        return value.item()

    return step
