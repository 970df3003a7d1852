"""Clustering vectors that don't fit in memory: Nopal reading a file block by block, against one pass in NumPy.

    python benchmarks/bench_streaming.py [--rows 2000000] [--partitions 2] [--folder DIR] [--out FILE.json]

Two million vectors of 256 numbers, two gigabytes, in 100 groups; 100 clusters. The file is written to `--folder` (the
system's folder for temporary files by default) and taken away in the end. The reference assigns every row to the
nearest centroid and sums the rows of each, in the same blocks, once: an iteration of one clustering. What Nopal takes
for one is the difference between many and one of them, so without seeding, first and last pass. Memory is what the
process holds beside the file's pages, which the system may drop at any time.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

import jax
import numpy as np

import harness
from nopal.data import load_vectors
from nopal.numerics.kmeans_streamed import ROWS, fit_kmeans_streamed
from nopal.runs.files import write_json
from nopal.runs.provenance import environment

D, GROUPS = 256, 100


class Watch(threading.Thread):
    """The most memory that the process has held of its own since it was made, in MiB; Linux only."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.first, self.most, self.stopped = self.now(), 0.0, threading.Event()

    @staticmethod
    def now() -> float:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

    def run(self) -> None:
        while not self.stopped.wait(0.02):
            self.most = max(self.most, self.now() - self.first)

    def stop(self) -> float:
        self.stopped.set()
        self.join()
        return round(self.most, 1)


def write_rows(path: Path, rows: int) -> np.ndarray:
    """The group of each row."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(GROUPS, D)).astype(np.float32)
    groups = random.integers(0, GROUPS, rows)
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(rows, D))
    for i in range(0, rows, ROWS):
        of = groups[i : i + ROWS]
        file[i : i + ROWS] = centres[of] + random.standard_normal((len(of), D), np.float32)
    file.flush()
    return groups


def one_pass(z: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """An iteration of Lloyd's algorithm: the new centroids."""
    sums, counts = np.zeros_like(centroids), np.zeros(len(centroids))
    half = np.square(centroids).sum(1) / 2
    for i in range(0, len(z), ROWS):
        block = np.asarray(z[i : i + ROWS])
        nearest = (block @ centroids.T - half).argmax(1)
        member = np.zeros((len(centroids), len(block)), np.float32)
        member[nearest, np.arange(len(block))] = 1
        sums += member @ block
        counts += np.bincount(nearest, minlength=len(centroids))
    return sums / np.maximum(counts, 1)[:, None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=2, help="cores for each side (default 2)")
    parser.add_argument("--rows", type=int, default=2_000_000, help="how many vectors (default 2,000,000)")
    parser.add_argument("--partitions", type=int, default=2, help="how many clusterings (default 2)")
    parser.add_argument("--iterations", type=int, default=10, help="at most so many of each, at least 2 (default 10)")
    parser.add_argument("--folder", type=Path, help="where the file may lie meanwhile")
    parser.add_argument("--out", type=Path, help="write the record to this JSON file")
    options = parser.parse_args()
    harness.keep_to(options.cores)
    jax.config.update("jax_num_cpu_devices", options.cores)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "vectors.npy"
        groups = write_rows(path, options.rows)
        z = load_vectors(path)
        scales = np.random.default_rng(1).uniform(0, 1, (options.partitions, D))
        scales[0] = 1
        watch = Watch()
        watch.start()
        began = time.perf_counter()
        fit_kmeans_streamed(z, scales, GROUPS, key=jax.random.key(0), iterations=1)  # compiles, too
        first = time.perf_counter() - began
        seconds, passes = {}, {}
        for most in (1, options.iterations):
            began = time.perf_counter()
            found = fit_kmeans_streamed(z, scales, GROUPS, key=jax.random.key(0), iterations=most)
            seconds[most], passes[most] = time.perf_counter() - began, int(found.iterations.sum())
        memory = watch.stop()
        reference = []
        for _ in range(3):
            began = time.perf_counter()
            one_pass(z, found.centroids[0])
            reference.append(time.perf_counter() - began)
    an_iteration = (seconds[options.iterations] - seconds[1]) / (passes[options.iterations] - passes[1])
    purity = np.bincount(found.assignments[0].astype(np.int64) * GROUPS + groups, minlength=GROUPS**2)
    about = {
        "rows": options.rows,
        "partitions": options.partitions,
        "file_mib": round(options.rows * D * 4 / 2**20),
        "own_memory_mib": memory,
        "seconds": round(seconds[options.iterations], 1),
        "seconds_of_the_first_call": round(first, 1),
        "iterations": [int(n) for n in found.iterations],
        "seconds_an_iteration": round(an_iteration, 2),
        "numpy_seconds_an_iteration": round(min(reference), 2),
        "purity_of_the_first": round(float(purity.reshape(GROUPS, GROUPS).max(1).sum() / options.rows), 4),
    }
    print(about)
    if options.out:
        made_with = {"benchmark": "streaming", "cores": options.cores, "results": [about]}
        write_json(options.out, made_with | environment())


if __name__ == "__main__":
    main()
