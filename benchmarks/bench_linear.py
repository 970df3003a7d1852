"""The linear baseline on many tasks: Nopal's vectorised logistic regression against scikit-learn's, task by task.

    python benchmarks/bench_linear.py [--tasks 1000] [--out FILE.json]

20-way 5-shot, 15 queries a class, on vectors of 256 numbers of 423 classes: the linear row of CACTUs on Omniglot.
scikit-learn solves the first `--checked` of the same tasks to convergence, and its time is scaled up; on these both
must have the same accuracy.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import jax
import numpy as np
from sklearn.linear_model import LogisticRegression

import harness
from nopal import evaluate
from nopal.evaluation import draw_episode
from nopal.learners import Logistic
from nopal.partitions import from_labels
from nopal.runs.files import write_json
from nopal.runs.provenance import environment
from nopal.tasks import Classification

CLASSES, EACH, D, STRENGTH, TARGET = 423, 20, 256, 1.0, 30.0


def make_tasks() -> Classification:
    """Classes about as far apart as those of Omniglot are in the vectors of an autoencoder: three queries in four are
    right."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(CLASSES), EACH)
    z = random.normal(size=(CLASSES, D))[labels] + 3.3 * random.normal(size=(len(labels), D))
    return Classification(z.astype(np.float32), from_labels(labels), way=20, shot=5, query=15)


def by_scikit_learn(tasks: Classification, key: jax.Array, checked: int) -> tuple[float, float]:
    """Mean accuracy on the first tasks, and seconds of fitting and predicting."""
    episodes = [draw_episode(tasks, key, i)[0] for i in range(checked)]
    parts = [[np.asarray(a) for a in (e.support.x, e.support.y, e.query.x, e.query.y)] for e in episodes]
    began = time.perf_counter()
    scores = [
        LogisticRegression(C=STRENGTH, tol=1e-6, max_iter=2000).fit(x, y).score(new, truth)
        for x, y, new, truth in parts
    ]
    return float(np.mean(scores)), time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=2, help="cores for each side (default 2)")
    parser.add_argument("--tasks", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--checked", type=int, default=40, help="how many scikit-learn gets (default 40)")
    parser.add_argument("--turns", type=int, default=3, help="how often each side is timed (default 3)")
    parser.add_argument("--out", type=Path, help="write the record to this JSON file")
    options = parser.parse_args()
    harness.keep_to(options.cores)
    jax.config.update("jax_num_cpu_devices", options.cores)
    tasks, key = make_tasks(), jax.random.key(0)

    def ours(episodes: int) -> float:
        return evaluate(Logistic(STRENGTH), tasks, key=key, episodes=episodes).mean

    theirs, _ = by_scikit_learn(tasks, key, options.checked)
    harness.agree("scikit-learn", {"accuracy": ours(options.checked)}, {"accuracy": theirs}, tolerance=2e-3)
    ours(options.tasks)
    seconds: dict[str, list[float]] = {"nopal": [], "scikit-learn": []}
    for _ in range(options.turns):
        began = time.perf_counter()
        ours(options.tasks)
        seconds["nopal"].append(time.perf_counter() - began)
        seconds["scikit-learn"].append(
            by_scikit_learn(tasks, key, options.checked)[1] * options.tasks / options.checked
        )
    least = {name: round(min(found), 2) for name, found in seconds.items()}
    ratio = round(least["scikit-learn"] / least["nopal"], 1)
    print(f"{options.tasks} tasks: {least} s; Nopal is {ratio} times as fast (target: {TARGET} s for 1,000 tasks)")
    about = {"tasks": options.tasks, "accuracy": round(theirs, 4), "seconds": least, "ratio": ratio}
    if options.out:
        made_with = {"benchmark": "linear", "cores": options.cores, "target_seconds": TARGET, "results": [about]}
        write_json(options.out, made_with | environment())


if __name__ == "__main__":
    main()
