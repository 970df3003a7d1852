"""A meta-step of second-order MAML on 8 tasks (and of two seeds of it), on one device, on two, and in two processes.

    python benchmarks/bench_scaling.py [--out FILE.json]

Needs two cores. Each way is a program of its own, so that the number of devices can be set; all take the same steps.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import jax

WAYS = {
    "one device": (1, 1, 1),
    "two devices": (1, 2, 1),
    "two processes": (2, 1, 1),
    "two seeds together, two devices": (1, 2, 2),
}
"""Processes, devices of each, seeds."""
CHUNK, CHUNKS, TURNS = 2, 6, 2


def time_steps(way: str, process: int, port: int) -> None:
    """Print milliseconds a step, in this process; the first chunk, in which the program is compiled, doesn't count."""
    processes, devices, seeds = WAYS[way]
    jax.config.update("jax_num_cpu_devices", devices)
    import workload
    from nopal import distributed, train, train_seeds

    if processes > 1:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[process]})
        distributed.join(f"127.0.0.1:{port}", processes, process)
    times: list[float] = []
    work = workload.maml(8)
    tasks, learner = work.tasks, work.learner
    keys = [jax.random.key(seed) for seed in range(seeds)]
    common = {"steps": CHUNK * CHUNKS, "chunk": CHUNK, "hooks": [lambda _: times.append(time.perf_counter())]}
    if seeds > 1:
        train_seeds([learner] * seeds, tasks, keys=keys, **common)
    else:
        train(learner, tasks, key=keys[0], **common)
    steps = [1e3 * (after - before) / CHUNK for before, after in itertools.pairwise(times)]
    if distributed.is_first():
        print(json.dumps({"least_ms": round(min(steps), 1), "median_ms": round(statistics.median(steps), 1)}))


def measure(way: str) -> dict[str, float]:
    """What the first process of a way says."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, __file__, "--way", way, "--port", port, "--process"]
    runs = [
        subprocess.Popen([*command, str(i)], stdout=subprocess.PIPE, text=True) for i in reversed(range(WAYS[way][0]))
    ]
    said = [run.communicate()[0] for run in runs]
    return json.loads(said[-1].splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="write the record to this JSON file")
    for hidden in ("--way", "--process", "--port"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        time_steps(options.way, int(options.process), int(options.port))
        return
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(TURNS):  # what else the machine does seldom hurts a way in every turn
        for way, of_way in found.items():
            of_way.append(measure(way))
            print(way, of_way[-1], flush=True)
    results = [{"way": way} | min(of_way, key=lambda times: times["least_ms"]) for way, of_way in found.items()]
    if options.out:
        from nopal.runs.files import write_json
        from nopal.runs.provenance import environment

        write_json(options.out, {"benchmark": "scaling", "tasks": 8, "results": results} | environment())


if __name__ == "__main__":
    main()
