"""A peer in PyTorch, in a process of its own.

    python torch_worker.py PEER WORK EPISODES.npz THREADS

WORK is JSON. Each line of JSON on standard input is a request and gets one line on standard output:

    {"do": "check", "episodes": 8}      loss and norm in double precision
    {"do": "steps", "steps": 5}         meta-train; {"do": "adapt"} adapts to every episode
    {"do": "memory"}                    what steps take of the memory
    {"do": "versions", "of": [...]}
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys

import networks
import resident
import torch

OPTIMISERS = {"adam": lambda weights: torch.optim.Adam(weights, 1e-3), "none": lambda w: torch.optim.SGD(w, 0.0)}


def main() -> None:
    name, work, file, threads = sys.argv[1:]
    torch.set_flush_denormal(True)  # as XLA does; long inner loops end in gradients near 0, which are slow otherwise
    torch.set_num_threads(int(threads))
    work, peer = json.loads(work), importlib.import_module(f"{name}_peer")
    weights, episodes = networks.load(file)
    begun: dict = {}

    def prepared(kind: str, precision: torch.dtype, first: int | None = None):
        """The peer at work on its own copy of the weights, on the `first` episodes or all."""
        of_kind = [a[:first].to(precision) if a.is_floating_point() else a[:first] for a in episodes]
        model = networks.MODULES[work["network"]]({n: w.to(precision, copy=True) for n, w in weights.items()})
        if kind == "adapt":
            return model, peer.prepare_adaptation(work, model, of_kind)
        optimiser = OPTIMISERS["none" if first else "adam"](model.parameters())
        return model, peer.prepare(work, model, of_kind, optimiser)

    for line in sys.stdin:
        request = json.loads(line)
        do, answer = request["do"], {}
        if do == "check":
            kind, precision = request.get("kind", "steps"), torch.float64
            model, step = prepared(kind, precision, request["episodes"])
            if kind == "adapt":
                moved, losses = step()
                answer = {"loss": losses.mean().item(), "norm": networks.norm(moved)}
            else:
                loss = step()
                answer = {"loss": loss, "norm": networks.norm([w.grad for w in model.parameters()])}
        elif do in ("steps", "adapt"):
            step = begun.setdefault(do, prepared(do, torch.float32) if do not in begun else None)[1]
            for _ in range(request.get("steps", 1)):
                step()
        elif do == "memory":
            answer = resident.of_steps(prepared("steps", torch.float32)[1])
        elif do == "versions":
            answer = {
                found.metadata["Name"]: found.version
                for found in importlib.metadata.distributions()
                if found.metadata["Name"] in request["of"]
            }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
