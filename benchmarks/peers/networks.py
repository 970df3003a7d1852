"""The networks of `workload.py` in PyTorch, with Nopal's names of weights, and the losses."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

Weights = dict[str, torch.Tensor]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def same_padding(size: int) -> tuple[int, int]:
    """What a 3 x 3 kernel with stride 2 needs before and behind `size` places, with the odd one behind."""
    total = max((-(-size // 2) - 1) * 2 + 3 - size, 0)
    return total // 2, total - total // 2


def strided_block(x: torch.Tensor, kernel: torch.Tensor, bias: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    before, behind = same_padding(x.shape[-1])
    if before == behind:
        x = F.conv2d(x, kernel, bias, stride=2, padding=before)
    else:
        x = F.conv2d(F.pad(x, (before, behind, before, behind)), kernel, bias, stride=2)
    return F.relu(F.batch_norm(x, None, None, None, shift, True, 0.0, 1e-3))


def conv4(w: Weights, x: torch.Tensor) -> torch.Tensor:
    """The network as a function of its weights, for the peers that work on functions."""
    for i in range(4):
        x = strided_block(x, w[f"blocks.{i}.kernel"], w[f"blocks.{i}.bias"], w[f"blocks.{i}.normalisation.shift"])
    return x.mean((2, 3)) @ w["head.kernel"] + w["head.bias"]


def mlp(w: Weights, x: torch.Tensor) -> torch.Tensor:
    last = len(w) // 2 - 1
    for i in range(last + 1):
        x = x @ w[f"layers.{i}.kernel"] + w[f"layers.{i}.bias"]
        x = x if i == last else F.relu(x)
    return x


FUNCTIONS = {"conv4": conv4, "mlp": mlp}


class Normalisation(nn.Module):
    def __init__(self, shift: torch.Tensor):
        super().__init__()
        self.shift = nn.Parameter(shift)


class Layer(nn.Module):
    """What has a kernel and a bias, and perhaps a normalisation."""

    def __init__(self, weights: Weights):
        super().__init__()
        self.kernel, self.bias = nn.Parameter(weights["kernel"]), nn.Parameter(weights["bias"])
        if "normalisation.shift" in weights:
            self.normalisation = Normalisation(weights["normalisation.shift"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if hasattr(self, "normalisation"):
            return strided_block(x, self.kernel, self.bias, self.normalisation.shift)
        return x @ self.kernel + self.bias


class Conv4(nn.Module):
    """The same as a module, for the peers that work on modules."""

    def __init__(self, weights: Weights):
        super().__init__()
        self.blocks = nn.ModuleList(Layer(below(weights, f"blocks.{i}.")) for i in range(4))
        self.head = Layer(below(weights, "head."))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((2, 3)))


class MLP(nn.Module):
    def __init__(self, weights: Weights):
        super().__init__()
        self.layers = nn.ModuleList(Layer(below(weights, f"layers.{i}.")) for i in range(len(weights) // 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *hidden, last = self.layers
        for layer in hidden:
            x = F.relu(layer(x))
        return last(x)


class Pooled(nn.Module):
    """Four blocks with pooling and no head, channels last, which is as fast as channels first."""

    def __init__(self, weights: Weights):
        super().__init__()
        self.weights = nn.ParameterDict({name.replace(".", "_"): w for name, w in weights.items()})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        w = self.weights
        for i in range(4):
            x = F.conv2d(x, w[f"blocks_{i}_kernel"], w[f"blocks_{i}_bias"], padding=1)
            scale, shift = w[f"blocks_{i}_normalisation_scale"], w[f"blocks_{i}_normalisation_shift"]
            x = F.max_pool2d(F.relu(F.batch_norm(x, None, None, scale, shift, True, 0.0, 1e-5)), 2)
        return x.flatten(1)


MODULES = {"conv4": Conv4, "mlp": MLP, "pooled": Pooled}


def below(weights: Weights, prefix: str) -> Weights:
    return {name[len(prefix) :]: w for name, w in weights.items() if name.startswith(prefix)}


def adapted(name: str) -> bool:
    """Whether the inner loop changes the weight of this name: all but the shift of the normalisation."""
    return name.endswith((".kernel", ".bias"))


def class_sum(outputs: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The sum over classes of the mean cross-entropy of each, where all have equally many examples."""
    return F.cross_entropy(outputs, y, reduction="sum") * outputs.shape[1] / len(y)


LOSSES: dict[str, Loss] = {"class_sum": class_sum, "squared_error": F.mse_loss}


def load(file: str) -> tuple[Weights, list[torch.Tensor]]:
    """Weights and the episodes' support.x, support.y, query.x, query.y, in PyTorch's order of axes."""
    arrays = {name: torch.from_numpy(np.array(array)) for name, array in np.load(file).items()}
    episodes = [arrays.pop(name) for name in ("support.x", "support.y", "query.x", "query.y")]
    episodes = [a.movedim(-1, -3).contiguous() if a.ndim == 5 else a for a in episodes]
    episodes = [a if a.is_floating_point() else a.long() for a in episodes]
    return {name: a.permute(3, 2, 0, 1).contiguous() if a.ndim == 4 else a for name, a in arrays.items()}, episodes


def norm(tensors: list[torch.Tensor]) -> float:
    return math.sqrt(sum(float(t.double().square().sum()) for t in tensors))
