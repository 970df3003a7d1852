"""Every test runs with the shapes and types of the package's signatures checked."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
os.environ.setdefault("MPLBACKEND", "Agg")

install_import_hook("nopal", "beartype.beartype")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; tests that need it are skipped where there is none."""
    folder = os.environ.get("NOPAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("NOPAL_DATA names no folder with real data sets")
    return Path(folder)
