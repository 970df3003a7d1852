"""Everything that can be measured, by name: each measure is a function of the options and returns what it found."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import harness
import workload
from harness import Options, compared, in_turns, started
from nopal import encoders, evaluate, learners
from nopal.loop import Hook, Moment
from nopal.numerics.kmeans import fit_kmeans
from nopal.runs import Checkpointer, Checkpoints, MetricsLog, NaNGuard, Progress
from nopal.training import train
from peers import resident

Found = dict[str, Any]


def meta_step(
    options: Options,
    *,
    work: Callable[[], workload.Work],
    peers: tuple[harness.Peer, ...],
    steps: int,
    chunk: int,
    target: float,
) -> Found:
    """A step of meta-training. Nopal draws new episodes at every step, peers keep theirs; it makes `chunk` steps in one
    program (`nopal.train` makes up to 100), and peers make `steps` in a turn."""
    made = work()
    with started(peers, made, options) as (processes, versions):
        asked = {name: functools.partial(process.ask, do="steps", steps=steps) for name, process in processes.items()}
        ours = workload.training(made, steps=chunk, devices=options.cores)
        times = in_turns({"Nopal": ours} | asked, options.turns, {"Nopal": chunk} | dict.fromkeys(asked, steps))
    found = compared(times, [name for name in times if name != harness.JAX.title]) | {
        "versions": versions,
        "target": target,
    }
    if harness.JAX.title in times:
        found["ratio_to_jax"] = round(times[harness.JAX.title]["least_ms"] / times["Nopal"]["least_ms"], 2)
    return found


def adaptation(options: Options, *, work: Callable[[], workload.Work], tasks: int, **target: float) -> Found:
    """Adapting to `tasks` tasks and predicting their queries; peers do as many as `work` has, and that is scaled up."""
    made = work()
    with started((harness.LOOP, harness.VMAP), made, options, kind="adapt") as (processes, versions):
        asked = {name: functools.partial(process.ask, do="adapt") for name, process in processes.items()}
        key = jax.random.key(workload.KEY)
        ours = lambda: evaluate(made.learner, made.tasks, key=key, episodes=tasks)  # noqa: E731
        turns = max(1, options.turns // 2)
        times = in_turns({"Nopal": ours} | asked, turns, {"Nopal": tasks} | dict.fromkeys(asked, made.count))
    for found in times.values():
        found |= {name: round(value * tasks, 1) for name, value in found.items()}
    return compared(times) | {"versions": versions, "tasks": tasks, "tasks_of_peers": made.count} | target


def evaluation(options: Options) -> Found:
    """Seconds for 1,000 tasks, 5-way 1-shot with 15 queries a class, compilation included, and MAML's against PyTorch,
    which does 20 of them."""
    images = workload.images()
    vectors = encoders.PCA.fit(images, dimensions=64)(images)
    rows = {
        "nearest neighbours": (learners.NearestNeighbour(), vectors),
        "prototypical networks": (workload.protonet().learner, images),
    }
    seconds = {}
    for name, (learner, x) in rows.items():
        tasks = workload.tasks_of(x, way=5, shot=1, query=15)
        began = time.perf_counter()
        evaluate(learner, tasks, key=jax.random.key(0), episodes=1000)
        seconds[name] = round(time.perf_counter() - began, 2)
    work = functools.partial(workload.maml, 20, way=5, shot=1, query=15, inner_steps=50)
    return adaptation(options._replace(turns=1), work=work, tasks=1000) | {"seconds": seconds}


def clustering(options: Options, partitions: int = 10, repeats: int = 2) -> Found:
    """22,000 x 256 vectors, 500 clusters: Nopal all partitions together, the others `repeats` of them one by one."""
    random = np.random.default_rng(0)
    z = (random.normal(size=(1100, 1, 256)) + random.normal(size=(1100, 20, 256))).reshape(-1, 256).astype(np.float32)
    scales = random.uniform(size=(partitions, 256)).astype(np.float32)
    fit_kmeans(z, scales, 500, key=jax.random.key(0), iterations=1)  # compiles
    try:
        python = harness.python_of("clustering")
    except harness.NoEnvironment as why:
        sys.exit(f"scikit-learn and faiss can't be compared: {why}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vectors.npz"
        np.savez(file, z=z, scales=scales)
        worker = harness.Process(python, "clustering_worker.py", str(file), "500", str(options.cores))
        names = ["scikit-learn", "faiss", "faiss, 25 iterations from random rows"]
        theirs = {name: [worker.ask(fit=name, partition=p) for p in range(repeats)] for name in names}
        versions = worker.ask(do="versions")
        worker.close()
    began = time.perf_counter()
    found = fit_kmeans(z, scales, 500, key=jax.random.key(0))
    mine = (time.perf_counter() - began) / partitions
    best = [theirs["scikit-learn"][p]["inertia"] for p in range(repeats)]

    def row(seconds: float, inertia: list[float], iterations: float) -> dict[str, float]:
        quality = float(np.mean(np.divide(inertia, best)))
        return {"seconds": round(seconds, 3), "inertia": round(quality, 4), "iterations": round(iterations, 1)}

    rows = {"Nopal": row(mine, list(found.inertia[:repeats]), float(found.iterations.mean()))}
    for name, fits in theirs.items():
        seconds, inertia, iterations = ([fit[key] for fit in fits] for key in ("seconds", "inertia", "iterations"))
        rows[name] = row(min(seconds), inertia, float(np.mean(iterations)))
    ratio = round(min(rows[name]["seconds"] for name in names[:2]) / rows["Nopal"]["seconds"], 2)
    return {"rows": rows, "partitions": partitions, "ratio": ratio, "versions": versions}


class Timed:
    """A hook, and the seconds that it took."""

    def __init__(self, hook: Hook):
        self.hook, self.seconds = hook, 0.0

    def __call__(self, moment: Moment) -> None:
        began = time.perf_counter()
        self.hook(moment)
        self.seconds += time.perf_counter() - began


def overheads(options: Options, steps: int = 200) -> Found:
    """Shares of the wall time of a run of W(8) as the command line makes them: drawing episodes, logging, checkpoints
    every 100 steps, progress."""
    work = workload.maml(8)
    advance, draw = (make(work, steps=5, devices=options.cores) for make in (workload.training, workload.drawing))
    times = in_turns({"meta-step": advance, "drawing": draw}, options.turns, 5)
    marks: list[float] = []
    with tempfile.TemporaryDirectory() as folder, MetricsLog(folder) as log, Progress(steps + 20) as progress:
        save = Checkpointer(Checkpoints(Path(folder) / "checkpoints"), 100, last=steps + 20)
        hooks = {"logging": Timed(log), "checkpoints": Timed(save), "progress": Timed(progress)}
        note = lambda moment: marks.append(time.perf_counter())  # noqa: E731
        begin = lambda moment: [setattr(h, "seconds", 0.0) for h in hooks.values()] if moment.step == 20 else None  # noqa: E731
        chain: list[Hook] = [NaNGuard(), *hooks.values(), begin, note]
        key = jax.random.key(workload.KEY)
        train(work.learner, work.tasks, steps=steps + 20, key=key, hooks=chain, chunk=20, devices=options.cores)
    wall = marks[-1] - marks[0]  # the first chunk compiles
    shares = {name: hook.seconds / wall for name, hook in hooks.items()}
    shares["drawing episodes"] = times["drawing"]["least_ms"] / times["meta-step"]["least_ms"]
    shares = {name: round(share, 4) for name, share in shares.items()}
    total = round(sum(shares.values()), 4)
    return {"shares": shares, "total": total, "ms_a_step": round(1e3 * wall / steps, 1), "target": 0.05} | {
        "times": times
    }


def probe(*arguments: str) -> Found:
    """What `probe.py` finds in a fresh process."""
    command = [sys.executable, str(Path(__file__).with_name("probe.py")), *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | resident.SURROUNDINGS)
    if done.returncode:
        sys.exit("The probe failed; its message is above.")
    return json.loads(done.stdout.splitlines()[-1])


def memory(options: Options) -> Found:
    """MiB of resident memory for meta-steps of W(32), each side in a fresh process: Nopal, with its program out of the
    cache, and PyTorch, by a task loop and vectorised."""
    work, found = workload.maml(32), {}
    with tempfile.TemporaryDirectory() as folder:
        arguments = ("memory", str(work.count), str(options.cores), folder)
        probe(*arguments)
        found["Nopal"] = probe(*arguments)
        file = Path(folder) / "episodes.npz"
        workload.hand_over(work, file)
        for peer in (harness.LOOP, harness.VMAP):
            process = harness.start(peer, work, file, options, measure_memory=True)
            found[peer.title] = process.ask(do="memory")
            process.close()
    ratio = {kind: round(found[harness.LOOP.title][kind] / found["Nopal"][kind], 2) for kind in ("first", "step")}
    return {"mib": found, "ratio": ratio}


def compilation(options: Options) -> Found:
    """Seconds from the first call of W(8) to the end of its first step, less those of a step, with an empty cache of
    compiled programs and with the one that this has filled."""
    with tempfile.TemporaryDirectory() as cache:
        cold, warm = (probe("compilation", "8", str(options.cores), cache)["seconds"] for _ in range(2))
    return {"seconds": {"cold": round(cold, 2), "warm": round(warm, 2)}, "targets": {"cold": 10.0, "warm": 2.0}}


ALL: dict[str, Callable[[Options], Found]] = {
    **{
        f"W{count}": functools.partial(
            meta_step,
            work=functools.partial(workload.maml, count),
            peers=harness.MAML,
            steps=max(1, 8 // count),
            chunk=max(2, 32 // count),
            target=target,
        )
        for count, target in ((1, 3.0), (8, 4.0), (32, 4.5))
    },
    **{
        f"sinusoid{count}": functools.partial(
            meta_step,
            work=functools.partial(workload.sinusoids, count),
            peers=(harness.JAX, *harness.MAML),
            steps=400 // count,
            chunk=100,
            target=target,
        )
        for count, target in ((4, 15.0), (25, 6.0), (100, 4.0))
    },
    "protonet": functools.partial(
        meta_step, work=workload.protonet, peers=(harness.PROTONET,), steps=2, chunk=5, target=1.5
    ),
    "adaptation": functools.partial(
        adaptation, work=functools.partial(workload.maml, 20, shot=5, inner_steps=50), tasks=20, target=3.0
    ),
    "evaluation": evaluation,
    "clustering": clustering,
    "overheads": overheads,
    "memory": memory,
    "compilation": compilation,
}
