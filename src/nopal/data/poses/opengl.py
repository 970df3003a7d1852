"""Which OpenGL MuJoCo draws with where there is no screen: EGL, else OSMesa."""

from __future__ import annotations

import functools
import importlib.util
import os
import subprocess
import sys

from nopal.errors import NopalError

_TRIAL = """
import mujoco
from mujoco.gl_context import GLContext
context = GLContext(8, 8)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), 100).free()
context.free()
"""


@functools.cache
def find_backend() -> str:
    """What MUJOCO_GL has to be so that MuJoCo can draw: as it is set, else "egl" or "osmesa", whichever works first.

    Each is tried in a process of its own, for a process can load but one. Raises `NopalError` where none works, and
    where MuJoCo or trimesh is not installed.
    """
    for module in ("mujoco", "trimesh"):
        if importlib.util.find_spec(module) is None:
            raise NopalError(f"Rendering takes {module}, which is not installed: pip install 'nopal[poses]'.")
    asked = os.environ.get("MUJOCO_GL", "").lower().strip()
    choices = (asked,) if asked else ("egl", "osmesa") if sys.platform == "linux" else ("",)
    reasons = []
    for backend in choices:
        trial = subprocess.run(
            [sys.executable, "-c", _TRIAL], env=os.environ | environment(backend), capture_output=True, text=True
        )
        if trial.returncode == 0:
            return backend
        lines = trial.stderr.strip().splitlines() or [f"it ended with {trial.returncode}"]
        reasons.append(f"{backend or 'the default'}: {lines[-1][:200]}")
    if asked:
        raise NopalError(
            f"MuJoCo can't draw with what the variable MUJOCO_GL names ({reasons[0]}); unset it, so that EGL or OSMesa "
            "is taken, whichever works."
        )
    raise NopalError(
        f"MuJoCo finds no OpenGL to draw with ({'; '.join(reasons)}); install OSMesa, which needs no GPU (on Debian "
        "and Ubuntu: apt-get install libosmesa6), or EGL (apt-get install libegl1 libopengl0 libgl1-mesa-dri)."
    )


def environment(backend: str) -> dict[str, str]:
    """The variables that a process needs before it imports MuJoCo. Software rendering gets one thread a process: that
    is what it can use for one small image, and the processes are the parallelism."""
    variables = {"MUJOCO_GL": backend, "LP_NUM_THREADS": "0"}
    return variables | ({"PYOPENGL_PLATFORM": backend} if backend in ("egl", "osmesa") else {})
