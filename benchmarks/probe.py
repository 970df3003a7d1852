"""What can only be measured in a fresh process: the memory and the compilation of a meta-step.

python probe.py memory|compilation TASKS CORES CACHE
"""

from __future__ import annotations

import json
import sys
import time

import jax


def main() -> None:
    what, tasks, cores, cache = sys.argv[1:]
    jax.config.update("jax_num_cpu_devices", int(cores))
    jax.config.update("jax_compilation_cache_dir", cache)
    import workload
    from peers import resident

    work = workload.maml(int(tasks))
    advance = workload.training(work, steps=1, devices=int(cores))
    if what == "memory":
        print(json.dumps(resident.of_steps(advance)))
        return
    began = time.perf_counter()
    advance()
    first = time.perf_counter()
    advance()
    second = time.perf_counter()
    print(json.dumps({"seconds": (first - began) - (second - first)}))


if __name__ == "__main__":
    main()
