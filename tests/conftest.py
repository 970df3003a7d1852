"""Every test runs with the shapes and types of the package's signatures checked."""

import os
import tempfile
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# Small programs: what compiling well would gain is less than what it costs.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(tempfile.gettempdir()) / "nopal-tests-compiled"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("MPLBACKEND", "Agg")

install_import_hook("nopal", "beartype.beartype")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it are skipped where there is none."""
    folder = os.environ.get("NOPAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("NOPAL_DATA names no folder with real data sets")
    return Path(folder)
