"""W(T), a meta-step of second-order MAML on T tasks: Nopal against `torch.func.vmap`.

    python benchmarks/bench_meta_step.py [--torch-python PYTHON] [--out FILE.json]

Omniglot's shape, 20-way 1-shot, 5 queries a class, four blocks of 32 filters with stride 2, five inner steps, published
settings, Adam. Both sides have the same weights and first episodes and must find the same meta-loss and norm of its
gradient before they are timed. Nopal also draws new episodes at every step; PyTorch keeps those that it was given.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import jax

import harness
import workload

TARGET = {8: 2.0}


def main() -> None:
    options = harness.start(__doc__, peer=True)
    key, learner = jax.random.key(1), workload.published_maml()
    tasks = workload.tasks_of(workload.images(), way=20, shot=1, query=5)
    results = []
    for count in (1, 8, 32):
        steps = max(1, 8 // count)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "episodes.npz"
            ours = workload.hand_over(learner, tasks, key, count, file)
            with harness.Peer(options.torch_python, "maml", file, options.cores) as peer:
                harness.agree(ours, peer.ask(do="check"))
                advance = workload.training(
                    learner, tasks, key, tasks_per_step=count, steps=steps, devices=min(count, options.cores)
                )
                runs = {"nopal": advance, "torch.func.vmap": lambda: peer.ask(do="steps", steps=steps)}  # noqa: B023
                times = harness.in_turns(runs, options.turns, steps)
        ratio = times["torch.func.vmap"]["least_ms"] / times["nopal"]["least_ms"]
        results.append({"tasks": count, "ratio": round(ratio, 2), "target_ratio": TARGET.get(count)} | times | ours)
        print(f"W({count}): {times}; {ratio:.2f} times as fast", flush=True)
    harness.record(options, "meta_step", results)


if __name__ == "__main__":
    main()
