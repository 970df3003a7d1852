"""The memory that this process has in use (Linux)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

SURROUNDINGS = {"MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
"""For glibc, so that memory given back is given back to the system at once."""


def of_steps(step: Callable[[], object]) -> dict[str, float]:
    """MiB that the first two steps add, with the programs and libraries that they load, and MiB that a step takes
    beyond what is in use between steps. `SURROUNDINGS` must have been set when the process began."""
    before = mark()
    step()
    step()
    first, between = peak() - before, mark()
    step()
    return {"first": round(first, 1), "step": round(peak() - between, 1)}


def mark() -> float:
    """MiB in use now; the peak begins anew here."""
    Path("/proc/self/clear_refs").write_text("5")
    return _field("VmRSS")


def peak() -> float:
    """The most MiB in use since the mark."""
    return _field("VmHWM")


def _field(name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) / 1024
