"""Seconds to judge a learner on 1,000 tasks, 5-way 1-shot with 15 queries a class, compilation included.

    python benchmarks/bench_evaluation.py [--out FILE.json]

Nearest neighbours on PCA-64 vectors, and untrained prototypical networks on the images of the same tasks.
"""

from __future__ import annotations

import time

import jax

import harness
import workload
from nopal import encoders, evaluate, learners

TASKS, TARGET = 1000, 20.0


def main() -> None:
    options = harness.start(__doc__)
    images = workload.images()
    vectors = encoders.PCA.fit(images, dimensions=64)(images)
    rows = {
        "nearest neighbour": (learners.NearestNeighbour(), vectors),
        "prototypical networks": (workload.published_protonet(), images),
    }
    results = []
    for name, (learner, x) in rows.items():
        tasks = workload.tasks_of(x, way=5, shot=1, query=15)
        began = time.perf_counter()
        scores = evaluate(learner, tasks, key=jax.random.key(0), episodes=TASKS)
        seconds = time.perf_counter() - began
        print(f"{name}: {seconds:.1f} s (target: below {TARGET:.0f} s), accuracy {scores}", flush=True)
        results.append({"learner": name, "tasks": TASKS, "seconds": round(seconds, 2), "target_seconds": TARGET})
    harness.record(options, "evaluation", results)


if __name__ == "__main__":
    main()
