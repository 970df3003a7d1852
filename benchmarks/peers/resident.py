"""The memory that this process has in use (Linux)."""

from __future__ import annotations

import re
from pathlib import Path


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
