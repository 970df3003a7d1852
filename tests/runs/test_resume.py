"""A run that is killed in the middle and resumed ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import os, signal, sys
import jax, jax.numpy as jnp
from nopal import loop, runs

def step(state, key):
    x = state["x"] + jax.random.normal(key, 4)
    return {"x": x}, {"loss": jnp.sum(x**2)}

run = runs.open_run(sys.argv[1], {"seed": 0}, resume=True)
start, state = run.checkpoints.latest() or 0, {"x": jnp.zeros(4)}
if start:
    state = run.checkpoints.restore(state)
with runs.MetricsLog(run.path, every=5, resume_step=start) as log:
    hooks = [runs.NaNGuard(), log, runs.Checkpointer(run.checkpoints, every=10, last=40)]
    if len(sys.argv) > 2:
        hooks.append(runs.Every(25, lambda moment: os.kill(os.getpid(), signal.SIGKILL)))
    state = loop.run(step, state, jax.random.key(1), 40, start=start, chunk=5, hooks=hooks)
print(start, state["x"].tobytes().hex())
"""


def go(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", SCRIPT, str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"JAX_PLATFORMS": "cpu"})


def test_kill_and_resume(tmp_path: Path) -> None:
    whole, killed = go(tmp_path / "whole"), go(tmp_path / "killed", "kill")
    assert (whole.returncode, whole.stderr, killed.returncode) == (0, "", -signal.SIGKILL)
    assert (tmp_path / "killed" / "metrics.csv").read_text().splitlines()[-1].startswith("25,")
    resumed = go(tmp_path / "killed")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert resumed.stdout == whole.stdout.replace("0 ", "20 ", 1)
    assert (tmp_path / "killed" / "metrics.csv").read_text() == (tmp_path / "whole" / "metrics.csv").read_text()
