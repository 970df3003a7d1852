"""A meta-step of prototypical networks, 20-way 1-shot with 15 queries a class: Nopal against plain PyTorch.

    python benchmarks/bench_protonet.py [--torch-python PYTHON] [--out FILE.json]

320 images of 28 x 28 as one batch through four blocks of 64 filters with pooling, Adam. Both sides have the same
weights and first episode and must find the same loss and norm of its gradient before they are timed. Nopal also draws a
new episode at every step; PyTorch keeps the one that it was given.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import jax

import harness
import workload

STEPS = 2


def main() -> None:
    options = harness.start(__doc__, peer=True)
    key, learner = jax.random.key(1), workload.published_protonet()
    tasks = workload.tasks_of(workload.images(), way=20, shot=1, query=15)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "episodes.npz"
        ours = workload.hand_over(learner, tasks, key, 1, file)
        with harness.Peer(options.torch_python, "protonet", file, options.cores) as peer:
            harness.agree(ours, peer.ask(do="check"))
            advance = workload.training(learner, tasks, key, tasks_per_step=1, steps=STEPS, devices=1)
            runs = {"nopal": advance, "pytorch": lambda: peer.ask(do="steps", steps=STEPS)}
            times = harness.in_turns(runs, options.turns, STEPS)
    ratio = times["pytorch"]["least_ms"] / times["nopal"]["least_ms"]
    print(f"{times}; {ratio:.2f} times as fast")
    harness.record(options, "protonet", [{"ratio": round(ratio, 2)} | times | ours])


if __name__ == "__main__":
    main()
