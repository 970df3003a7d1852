"""A training step of ACAI with the published settings for Omniglot: Nopal against the same networks in PyTorch.

    python benchmarks/bench_acai.py [--torch-python PYTHON] [--cores 2] [--turns 7] [--out FILE.json]

64 images of 32 x 32, depth 16, a latent map of 4 x 4 x 16, Adam. Both sides have the same weights, and must find the
same losses and norms of gradients on the same batch, in double precision, before they are timed. Nopal also draws a new
batch at every step; PyTorch, in a process of its own and with channels last, keeps the one that it was given.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

STEPS = 10  # half a chunk of `ACAI.fit`


def main() -> None:
    if sys.argv[1:2] == ["peer"]:
        return serve(Path(sys.argv[2]), int(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=2, help="cores for each side (default 2)")
    parser.add_argument("--turns", type=int, default=7, help="how often each side is timed (default 7)")
    parser.add_argument("--out", type=Path, help="write the record to this JSON file")
    parser.add_argument("--torch-python", default=sys.executable, help="the Python that has PyTorch")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "step.npz"
        advance, found = prepare(file, options.cores)
        command = [options.torch_python, __file__, "peer", str(file), str(options.cores)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:

            def ask(request: str) -> dict[str, Any]:
                assert peer.stdin
                assert peer.stdout
                print(request, file=peer.stdin, flush=True)
                answer = peer.stdout.readline()
                return json.loads(answer) if answer else sys.exit("PyTorch ended; name its Python by --torch-python.")

            theirs = ask("check")
            for name, value in found.items():
                if not abs(value - theirs[name]) <= 1e-6 * abs(value):
                    sys.exit(f"The {name} is {value} here and {theirs[name]} in PyTorch; expected the same.")
            times = in_turns({"nopal": advance, "pytorch": lambda: ask("steps")}, options.turns)
            assert peer.stdin
            peer.stdin.close()
    ratio = round(times["pytorch"]["least_ms"] / times["nopal"]["least_ms"], 2)
    print(f"{times}; {ratio} times as fast")
    if options.out:
        from nopal.runs import environment
        from nopal.runs.files import write_json

        results = [{"ratio": ratio, "target_ratio": 1.0} | times | found]
        record = {"benchmark": "acai", "cores": options.cores, "results": results} | environment()
        record["versions"] = record["versions"] | {"torch": theirs["version"]}
        write_json(options.out, record)


def in_turns(runs: dict[str, Callable[[], Any]], turns: int) -> dict[str, dict[str, float]]:
    """Milliseconds a step of each; taking turns lets what else the machine does hurt both alike."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(turns + 1):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            if turn:
                seconds[name].append(1e3 * (time.perf_counter() - began) / STEPS)
    return {
        name: {"least_ms": round(min(ms), 1), "median_ms": round(statistics.median(ms), 1)}
        for name, ms in seconds.items()
    }


def prepare(file: Path, cores: int) -> tuple[Callable[[], None], dict[str, float]]:
    """A function that makes `STEPS` steps as `ACAI.fit` does; and the losses and norms of gradients of a batch, which
    is written to `file` with the weights."""
    import jax

    jax.config.update("jax_num_cpu_devices", cores)
    import equinox as eqx
    import jax.numpy as jnp
    import optax

    from nopal.encoders.acai import ACAIOptions, ACAIStep, fitted, gradients, group_size, initial_state
    from nopal.loop import run
    from nopal.mapping import device_mesh, replicate

    options, mesh, key, draw = ACAIOptions(), device_mesh(cores), jax.random.key(0), np.random.default_rng(0)
    images = draw.integers(0, 256, (22_000, 28, 28, 1), np.uint8)
    pixels = jnp.asarray(255 * np.asarray(fitted(images, options.width)), jnp.uint8)
    state = initial_state(1, options, key)
    x, share = 2 * np.asarray(pixels[: options.batch], np.float32) / 255 - 1, draw.uniform(0, 0.5, options.batch)
    weights = [np.asarray(leaf) for network in state.networks for leaf in jax.tree.leaves(network)]
    np.savez(file, x, share, *weights)

    with jax.enable_x64(True):
        networks = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), state.networks)
        of_batch = eqx.filter_jit(gradients)
        gradient, losses = of_batch(networks, jnp.asarray(x, jnp.float64), jnp.asarray(share), 0.5, 0.2)
        norms = {f"norm {i}": float(optax.tree.norm(of_network)) for i, of_network in enumerate(gradient)}
        found = {"loss": float(losses["loss"]), "critic_loss": float(losses["critic_loss"])} | norms

    step = ACAIStep(pixels, key, options, mesh, group_size(options.batch, mesh))
    step, state, key = replicate((step, state, key), mesh)

    def advance() -> None:
        nonlocal state
        state = run(step, state, key, STEPS, chunk=STEPS)

    return advance, found


def serve(file: Path, threads: int) -> None:
    """The PyTorch side: one line of JSON for each line of standard input."""
    import torch
    from torch.nn import functional as F

    torch.set_num_threads(threads)
    arrays = [torch.from_numpy(array) for array in np.load(file).values()]
    x, share = arrays[0].movedim(3, 1).contiguous(memory_format=torch.channels_last), arrays[1].float()
    weights = [a.permute(3, 2, 0, 1) if a.ndim == 4 else a for a in arrays[2:]]
    weights = [a.contiguous(memory_format=torch.channels_last) if a.ndim == 4 else a.contiguous() for a in weights]
    weights = [a.requires_grad_() for a in weights]
    sizes = [18, 16, 18]  # tensors of encoder, decoder and critic, each a kernel and a bias in turn

    def conv(x: torch.Tensor, layer: list[torch.Tensor], active: bool = True) -> torch.Tensor:
        x = F.conv2d(x, *layer, padding=layer[0].shape[2] // 2)
        return F.leaky_relu(x, 0.2, inplace=True) if active else x

    def encode(layers: list, x: torch.Tensor) -> torch.Tensor:
        x = conv(x, layers[0], False)
        for i in (1, 3, 5):
            x = F.avg_pool2d(conv(conv(x, layers[i]), layers[i + 1]), 2)
        return conv(conv(x, layers[7]), layers[8], False)

    def decode(layers: list, z: torch.Tensor) -> torch.Tensor:
        for i in (0, 2, 4):
            z = F.interpolate(conv(conv(z, layers[i]), layers[i + 1]), scale_factor=2)
        return conv(conv(z, layers[6]), layers[7], False)

    def gradients(weights: list, x: torch.Tensor, share: torch.Tensor) -> tuple[list, dict[str, Any]]:
        parts = torch.split(torch.arange(len(weights)), sizes)
        pairs = [[(weights[i], weights[i + 1]) for i in part[::2]] for part in parts]
        h, part = encode(pairs[0], x), share[:, None, None, None]
        mixed = part * h + (1 - part) * h.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
        decoded, mixed = decode(pairs[1], torch.cat([h, mixed])).split(len(x))
        blended = (decoded + 0.2 * (x - decoded)).detach()
        of_mixed, of_blended = (encode(pairs[2], images).mean((1, 2, 3)) for images in (mixed, blended))
        loss = ((x - decoded) ** 2).mean() + 0.5 * (of_mixed**2).mean()
        critic_loss = ((of_mixed - share) ** 2).mean() + (of_blended**2).mean()
        first = sizes[0] + sizes[1]
        found = [
            *torch.autograd.grad(loss, weights[:first], retain_graph=True),
            *torch.autograd.grad(critic_loss, weights[first:]),
        ]
        return found, {"loss": loss.item(), "critic_loss": critic_loss.item()}

    optimiser = torch.optim.Adam(weights, 1e-4, fused=True)
    for line in sys.stdin:
        answer: dict[str, Any] = {}
        if line.strip() == "check":
            doubles = [w.detach().double().contiguous().requires_grad_() for w in weights]
            found, answer = gradients(doubles, x.double().contiguous(), arrays[1])
            answer["version"] = torch.__version__
            for i, part in enumerate(torch.split(torch.arange(len(found)), sizes)):
                answer[f"norm {i}"] = torch.cat([found[j].flatten() for j in part]).norm().item()
        else:
            for _ in range(STEPS):
                for weight, slope in zip(weights, gradients(weights, x, share)[0], strict=True):
                    weight.grad = slope
                optimiser.step()
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
