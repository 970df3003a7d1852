"""An environment of its own for every peer, made once from pinned requirements and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from nopal.data.download import cache_folder

REQUIREMENTS = Path(__file__).with_name("requirements")
CUDA = ("nvidia-", "cuda-", "triton")


class NoEnvironment(Exception):
    """An environment can't be made here; the message says why, in a sentence."""


def python_of(name: str) -> Path:
    """The Python of the environment `name`, which is made where it is missing or its requirements have changed."""
    files = [REQUIREMENTS / f"{name}.txt"]
    files += [REQUIREMENTS / line[3:].strip() for line in files[0].read_text().splitlines() if line.startswith("-r ")]
    digest = hashlib.sha256("\n".join([sys.version, *(file.read_text() for file in files)]).encode()).hexdigest()
    folder = cache_folder() / "benchmark-peers" / f"{name}-{digest[:12]}"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    whole = folder / "whole"
    if not whole.exists():
        shutil.rmtree(folder, ignore_errors=True)
        print(f"Making the environment of {name} ...", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True)
        _refuse_cuda(python, files[0])
        _pip(python, "install", "--quiet", "--requirement", str(files[0]))
        whole.touch()
    return python


def _refuse_cuda(python: Path, requirements: Path) -> None:
    """These are benchmarks of CPUs, and the CUDA build of PyTorch is gigabytes."""
    plan = json.loads(
        _pip(python, "install", "--quiet", "--dry-run", "--report", "-", "--requirement", str(requirements))
    )
    names = [entry["metadata"]["name"].lower() for entry in plan["install"]]
    if any(name.startswith(CUDA) for name in names):
        raise NoEnvironment(
            "pip would install the CUDA build of PyTorch here; tell it where CPU builds are found, for instance by "
            "PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS, as PyTorch's own page on installation says."
        )


def _pip(python: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(python), "-m", "pip", "--disable-pip-version-check", *arguments], capture_output=True, text=True
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise NoEnvironment(f"pip could not install the requirements ({lines[-1] if lines else 'no message'}).")
    return done.stdout
