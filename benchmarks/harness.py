"""How it is measured: in turns, against peers in processes of their own that compute the same."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from peers import resident
from peers.environments import NoEnvironment, python_of

PEERS = Path(__file__).with_name("peers")
CHECKED = 8
"""How many of the episodes are checked: more would take longer and use the same code."""


def keep_to(cores: int) -> None:
    """Let this process have so many cores, where the system allows it: also its threads, such as those that NumPy began
    when it was imported."""
    if hasattr(os, "sched_setaffinity"):
        allowed, tasks = sorted(os.sched_getaffinity(0))[:cores], Path("/proc/self/task")
        for thread in [int(task.name) for task in tasks.iterdir()] if tasks.exists() else [0]:
            os.sched_setaffinity(thread, allowed)


class Options(NamedTuple):
    cores: int
    turns: int


class Process:
    """A worker: one line of JSON a request."""

    def __init__(self, python: str | Path, script: str, *arguments: str, measure_memory: bool = False):
        command = [str(python), str(PEERS / script), *arguments]
        self.name = script
        surroundings = os.environ | (resident.SURROUNDINGS if measure_memory else {})
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=surroundings)

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            sys.exit(f"The process of {self.name} ended when it was asked for {request}; its message is above.")
        return json.loads(answer)

    def close(self) -> None:
        with self.process:  # closes the pipes
            self.process.kill()


class Peer(NamedTuple):
    """What a peer is called in tables, its environment (None: Nopal's own), and its module."""

    title: str
    environment: str | None
    module: str


VMAP = Peer("torch.func.vmap", "torch", "vmap")
LOOP = Peer("learn2learn-style loop", "torch", "loop")
MAML = (
    VMAP,
    LOOP,
    Peer("higher", "higher", "higher"),
    Peer("TorchOpt", "torchopt", "torchopt"),
    Peer("parallel-metalearn", "parallel_metalearn", "parallel_metalearn"),
)
JAX = Peer("plain JAX", None, "jax")
PROTONET = Peer("PyTorch", "torch", "protonet")
LIBRARIES = ["torch", "higher", "torchopt", "parallel-metalearn"]


def start(peer: Peer, work: Any, file: Path, options: Options, *, measure_memory: bool = False) -> Process:
    """The peer in its environment, with the weights and episodes of `file`."""
    settings = json.dumps(work.settings)
    if peer.environment is None:
        return Process(sys.executable, "jax_worker.py", settings, str(file))
    arguments = (peer.module, settings, str(file), str(options.cores))
    return Process(python_of(peer.environment), "torch_worker.py", *arguments, measure_memory=measure_memory)


@contextmanager
def started(peers: tuple[Peer, ...], work: Any, options: Options, kind: str = "steps") -> Iterator[tuple[dict, dict]]:
    """Peers at work on the same weights and episodes, and their versions; each has been found to compute the same as
    Nopal, or the benchmark ends. Peers whose environment can't be made are left out, with a sentence."""
    import workload

    with ExitStack() as stack:
        file = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "episodes.npz"
        episodes = workload.hand_over(work, file)[:CHECKED]
        ours = (workload.adapted if kind == "adapt" else workload.derived)(work, episodes)
        ready, versions = {}, {}
        for peer in peers:
            try:
                process = start(peer, work, file, options)
            except NoEnvironment as why:
                print(f"{peer.title} is left out: {why}", flush=True)
                continue
            stack.callback(process.close)
            agree(peer.title, ours, process.ask(do="check", kind=kind, episodes=len(episodes)))
            versions |= process.ask(do="versions", of=LIBRARIES)
            ready[peer.title] = process
        yield ready, versions


def agree(name: str, ours: dict[str, float], theirs: dict[str, float], tolerance: float = 1e-5) -> None:
    """Stop where two sides don't compute the same thing: then their times can't be compared."""
    for what, value in ours.items():
        if not abs(value - theirs[what]) <= tolerance * abs(value):
            sys.exit(f"The {what} is {value} here and {theirs[what]} in {name}; expected the same up to {tolerance}.")


def in_turns(runs: dict[str, Callable[[], Any]], turns: int, steps: dict[str, int] | int = 1) -> dict[str, dict]:
    """Milliseconds a step of every run, each of which makes `steps` of them; one run of each goes before, uncounted.

    Taking turns lets what else the machine does hurt all alike. The least is the machine's answer, the median tells
    how much it was disturbed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(turns):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            per = steps if isinstance(steps, int) else steps[name]
            seconds[name].append((time.perf_counter() - began) / per)
    return {
        name: {"least_ms": round(1e3 * min(s), 3), "median_ms": round(1e3 * statistics.median(s), 3)}
        for name, s in seconds.items()
    }


def compared(times: dict[str, dict], peers: list[str] | None = None) -> dict[str, Any]:
    """The times, and how many times as fast Nopal is as the best of the peers."""
    others = {
        name: time["least_ms"] for name, time in times.items() if name != "Nopal" and (not peers or name in peers)
    }
    best = min(others, key=others.__getitem__) if others else None
    ratio = round(others[best] / times["Nopal"]["least_ms"], 2) if best else None
    return {"times": times, "best_peer": best, "ratio": ratio}
