"""Measure Nopal against its peers, on this machine, in one go.

    python benchmarks/run.py [NAME ...] [--out RECORD.json] [--table docs/performance.md]

Environments of the peers are made at first use and kept. With --out, what was measured is added to the record; with
--table, the tables between the markers of that page are written anew from the record.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import jax


def main() -> None:
    import measures

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(measures.ALL)}")
    parser.add_argument("--cores", type=int, default=2, help="cores for each side (default 2)")
    parser.add_argument("--turns", type=int, default=5, help="how often each side is timed (default 5)")
    parser.add_argument("--out", type=Path, help="the record, a JSON file, to add to")
    parser.add_argument("--table", type=Path, help="the page whose tables are made from the record")
    parser.add_argument("--only-table", action="store_true", help="measure nothing, make the tables from the record")
    options = parser.parse_args()
    unknown = set(options.names) - set(measures.ALL)
    if unknown:
        parser.error(f"there is no measure named {', '.join(sorted(unknown))}; choose from {', '.join(measures.ALL)}")
    if options.table and not options.out:
        parser.error("--table needs the record that --out names")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    jax.config.update("jax_num_cpu_devices", options.cores)

    import records
    from harness import Options

    for name in [] if options.only_table else options.names or measures.ALL:
        began = time.perf_counter()
        print(f"{name} ...", flush=True)
        found = measures.ALL[name](Options(options.cores, options.turns))
        print(f"{name}: {records.in_words(found)} ({time.perf_counter() - began:.0f} s)", flush=True)
        if options.out:
            records.add(options.out, name, found, options.cores)
    if options.table:
        records.write_tables(options.out, options.table)


if __name__ == "__main__":
    main()
