"""What the benchmarks share: the cores they may use, taking turns, a peer in a process of its own, and the record."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from nopal.runs.files import write_json
from nopal.runs.provenance import environment


def start(description: str, *, peer: bool = False) -> argparse.Namespace:
    """Read the command line, and keep this process and its peers to `--cores` cores; JAX must not have begun."""
    parser = argument_parser(description)
    if peer:
        parser.add_argument("--torch-python", default=sys.executable, help="the Python that has PyTorch")
    return begin(parser)


def argument_parser(description: str) -> argparse.ArgumentParser:
    """What every benchmark can be told."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=2, help="cores for each side (default 2)")
    parser.add_argument("--turns", type=int, default=7, help="how often each side is timed (default 7)")
    parser.add_argument("--out", type=Path, help="write the record to this JSON file")
    return parser


def begin(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """See `start`."""
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    jax.config.update("jax_num_cpu_devices", options.cores)
    return options


def in_turns(runs: dict[str, Callable[[], Any]], turns: int, steps: int) -> dict[str, dict[str, float]]:
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
            seconds[name].append((time.perf_counter() - began) / steps)
    return {
        name: {"least_ms": round(1e3 * min(s), 3), "median_ms": round(1e3 * statistics.median(s), 3)}
        for name, s in seconds.items()
    }


class Peer:
    """`torch_peers.py` in its own process, with the same weights and the same episodes: one JSON line a request."""

    def __init__(self, python: str, kind: str, file: Path, cores: int):
        command = [python, str(Path(__file__).with_name("torch_peers.py")), kind, str(file), str(cores)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

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
            sys.exit("The PyTorch process ended; name a Python that has PyTorch with --torch-python.")
        return json.loads(answer)

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def agree(ours: dict[str, float], theirs: dict[str, float], tolerance: float = 1e-6) -> None:
    """Stop where the two sides don't compute the same thing: then their times can't be compared."""
    for name, value in ours.items():
        if not abs(value - theirs[name]) <= tolerance * abs(value):
            sys.exit(f"The {name} is {value} here and {theirs[name]} there; expected the same up to {tolerance}.")


def record(options: argparse.Namespace, benchmark: str, results: list[dict[str, Any]]) -> None:
    """Write what was measured and on what, where `--out` says so."""
    if options.out:
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
        run = {"benchmark": benchmark, "cores": options.cores, "load_average": load, "results": results}
        write_json(options.out, run | environment())
