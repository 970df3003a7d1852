"""Seconds to judge a learner on 1,000 tasks, compilation included.

    python benchmarks/bench_evaluation.py [--out FILE.json]

Nearest neighbours on PCA-64 vectors, and untrained prototypical networks on the images of the same tasks: 5-way 1-shot
with 15 queries a class. Logistic regression to convergence: 20-way 5-shot with 5 queries a class on PCA-256 vectors.
"""

from __future__ import annotations

import time
from typing import Any

import jax

import harness
import workload
from nopal import encoders, evaluate, learners

TASKS = 1000


def main() -> None:
    options = harness.start(__doc__)
    images = workload.images()
    few, many = (encoders.PCA.fit(images, dimensions=d)(images) for d in (64, 256))
    easy, hard = {"way": 5, "shot": 1, "query": 15}, {"way": 20, "shot": 5, "query": 5}
    rows: dict[str, tuple[learners.Learner, Any, dict[str, int], float]] = {
        "nearest neighbour": (learners.NearestNeighbour(), few, easy, 20.0),
        "prototypical networks": (workload.published_protonet(), images, easy, 20.0),
        "logistic regression, strength 0.1": (learners.Logistic(0.1), many, hard, 30.0),
        "logistic regression, strength 100": (learners.Logistic(100.0), many, hard, 30.0),
    }
    results = []
    for name, (learner, x, difficulty, target) in rows.items():
        tasks = workload.tasks_of(x, **difficulty)
        began = time.perf_counter()
        scores = evaluate(learner, tasks, key=jax.random.key(0), episodes=TASKS)
        seconds = time.perf_counter() - began
        print(f"{name}: {seconds:.1f} s (target: below {target:.0f} s), accuracy {scores}", flush=True)
        results.append(
            {"learner": name, "tasks": TASKS, "seconds": round(seconds, 2), "target_seconds": target} | difficulty
        )
    harness.record(options, "evaluation", results)


if __name__ == "__main__":
    main()
