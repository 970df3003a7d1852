"""What a run was made with: the machine, the versions, the commit. No path and no name of the machine is in it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

from nopal.memory import physical_memory

SOURCE = Path(__file__).resolve().parents[1]


def environment() -> dict[str, Any]:
    """`hardware` (a line of text), `versions` (by package) and `commit` (None where the source is not under git)."""
    packages = ("jax", "equinox", "optax", "nopal")
    versions = {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}
    return {"hardware": _hardware(), "versions": versions, "commit": _commit()}


def _hardware() -> str:
    """Such as "Intel(R) Xeon(R) Processor, 2 cores, 8 GiB memory, no accelerator"."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    kinds = [device.device_kind for device in jax.devices() if device.platform != "cpu"]
    accelerators = " + ".join(f"{kinds.count(kind)} x {kind}" for kind in dict.fromkeys(kinds)) or "no accelerator"
    return f"{_processor()}, {cores} core{'' if cores == 1 else 's'}{_memory()}, {accelerators}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _memory() -> str:
    size = physical_memory()
    return "" if size is None else f", {size / 2**30:.0f} GiB memory"


def _commit() -> str | None:
    """The commit of the source, with "-dirty" behind it where the package differs from it."""
    if not _git("ls-files", "__init__.py"):  # installed inside somebody else's repository
        return None
    commit = _git("rev-parse", "HEAD")
    return commit and commit + ("-dirty" if _git("status", "--porcelain", "--", ".") else "")


def _git(*arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
