"""Every test runs with the shapes and types of the package's signatures checked."""

import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

# Small programs: what compiling well would gain is less than what it costs.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(tempfile.gettempdir()) / "nopal-tests-compiled"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
os.environ.setdefault("MPLBACKEND", "Agg")

install_import_hook("nopal", "beartype.beartype")


@pytest.fixture(autouse=True, scope="module")
def few_programs() -> Iterator[None]:
    """Compiled programs are forgotten before they fill the table of memory maps that Linux grants a process (65,530 by
    default), past which XLA crashes."""
    import jax  # not before the settings above

    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 20_000:
        jax.clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it are skipped where there is none."""
    folder = os.environ.get("NOPAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("NOPAL_DATA names no folder with real data sets")
    return Path(folder)
