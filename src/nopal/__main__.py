"""The command `nopal`: what has to be set before JAX starts, then the commands themselves."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; NopalError becomes one sentence and exit status 2."""
    import jax

    from nopal.errors import NopalError

    try:
        jax.config.update("jax_num_cpu_devices", devices())
    except NopalError as error:
        print(f"nopal: {error}", file=sys.stderr)
        sys.exit(2)
    from nopal.data.download import cache_folder

    jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "compiled"))
    from nopal.cli import run
    from nopal.distributed import leave

    status = run()
    leave(status)
    sys.exit(status)


def devices() -> int:
    """CPU cores that count as devices: `NOPAL_DEVICES`, or all that this process may use; raises `NopalError` for what
    is no number of them."""
    asked = os.environ.get("NOPAL_DEVICES")
    if not asked:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not asked.isdecimal() or int(asked) < 1:
        from nopal.errors import NopalError

        raise NopalError(f"NOPAL_DEVICES is {asked!r}; expected a whole number from 1 on, or nothing for all cores.")
    return int(asked)


if __name__ == "__main__":
    main()
