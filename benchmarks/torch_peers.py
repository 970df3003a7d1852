"""The same work in PyTorch: MAML with every task at once by `torch.func.vmap`, and plain prototypical networks.

    python torch_peers.py maml|protonet EPISODES.npz THREADS

Each line of JSON on standard input, {"do": "check"} or {"do": "steps", "steps": 5}, gets one on standard output. These
are the fastest of the forms that were tried: see README.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

Weights = dict[str, torch.Tensor]
INNER_RATE, INNER_STEPS = 0.05, 5


def same_padding(size: int) -> tuple[int, int]:
    """What a 3 x 3 kernel with stride 2 needs before and behind `size` places, with the odd one behind."""
    total = max((-(-size // 2) - 1) * 2 + 3 - size, 0)
    return total // 2, total - total // 2


def strided_network(weights: Weights, x: torch.Tensor) -> torch.Tensor:
    for i in range(4):
        before, behind = same_padding(x.shape[-1])
        kernel, bias = weights[f"blocks.{i}.kernel"], weights[f"blocks.{i}.bias"]
        if before == behind:
            x = F.conv2d(x, kernel, bias, stride=2, padding=before)
        else:
            x = F.conv2d(F.pad(x, (before, behind, before, behind)), kernel, bias, stride=2)
        x = F.relu(F.batch_norm(x, None, None, None, weights[f"blocks.{i}.normalisation.shift"], True, 0.0, 1e-3))
    return x.mean((2, 3)) @ weights["head.kernel"] + weights["head.bias"]


def maml_task(
    weights: Weights, support_x: torch.Tensor, support_y: torch.Tensor, query_x: torch.Tensor, query_y: torch.Tensor
) -> torch.Tensor:
    adapted = {name: w for name, w in weights.items() if name.endswith((".kernel", ".bias"))}

    def class_sum(adapted: Weights, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        outputs = strided_network(weights | adapted, x)
        return F.cross_entropy(outputs, y, reduction="sum") * outputs.shape[1] / len(y)

    for _ in range(INNER_STEPS):
        slope = torch.func.grad(class_sum)(adapted, support_x, support_y)
        adapted = {name: w - INNER_RATE * slope[name] for name, w in adapted.items()}
    return class_sum(adapted, query_x, query_y)


def maml_loss(weights: Weights, *episodes: torch.Tensor) -> torch.Tensor:
    return torch.func.vmap(maml_task, (None, 0, 0, 0, 0))(weights, *episodes).mean()


def protonet_loss(
    weights: Weights, support_x: torch.Tensor, support_y: torch.Tensor, query_x: torch.Tensor, query_y: torch.Tensor
) -> torch.Tensor:
    """One episode whose examples are sorted by class."""
    x = torch.cat([support_x[0], query_x[0]]).contiguous(memory_format=torch.channels_last)
    for i in range(4):
        layer = f"blocks.{i}."
        x = F.conv2d(x, weights[layer + "kernel"], weights[layer + "bias"], padding=1)
        scale, shift = weights[layer + "normalisation.scale"], weights[layer + "normalisation.shift"]
        x = F.max_pool2d(F.relu(F.batch_norm(x, None, None, scale, shift, True, 0.0, 1e-5)), 2)
    support, queries = x.flatten(1).split([len(support_y[0]), len(query_y[0])])
    prototypes = support.reshape(int(support_y.max()) + 1, -1, support.shape[1]).mean(1)
    return F.cross_entropy(-(torch.cdist(queries, prototypes) ** 2), query_y[0])


def check(loss_of: Callable[..., torch.Tensor], weights: Weights, episodes: list[torch.Tensor]) -> dict[str, float]:
    """The loss and the norm of its gradient in double precision."""
    weights = {name: w.detach().double().requires_grad_() for name, w in weights.items()}
    loss = loss_of(weights, *(a.double() if a.is_floating_point() else a for a in episodes))
    slopes = torch.autograd.grad(loss, list(weights.values()))
    return {"loss": loss.item(), "norm": torch.cat([slope.flatten() for slope in slopes]).norm().item()}


def main() -> None:
    kind, file, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    loss_of = {"maml": maml_loss, "protonet": protonet_loss}[kind]
    arrays = {name: torch.from_numpy(array) for name, array in np.load(file).items()}
    episodes = [arrays.pop(name) for name in ("support.x", "support.y", "query.x", "query.y")]
    episodes = [a.movedim(-1, -3).contiguous() if a.ndim == 5 else a.long() for a in episodes]
    weights = {name: a.permute(3, 2, 0, 1).contiguous() if a.ndim == 4 else a for name, a in arrays.items()}
    weights = {name: w.requires_grad_() for name, w in weights.items()}
    optimiser = torch.optim.Adam(weights.values(), 1e-3)
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "check":
            answer = check(loss_of, weights, episodes)
        else:
            answer = {}
            for _ in range(request["steps"]):
                optimiser.zero_grad()
                loss_of(weights, *episodes).backward()
                optimiser.step()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
