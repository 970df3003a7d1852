"""Many scaled copies of the same vectors: k-means of Nopal, all together, against scikit-learn, one after the other.

    python benchmarks/bench_kmeans.py [--partitions 100] [--repeats 2] [--quick] [--vectors FILE.npy]

Both run in this process and take turns, so that what else the machine does hurts both alike. Inertia is compared on
partitions with the same scales; a ratio below 1 means that Nopal's clusters are tighter. CPU seconds count all threads.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from sklearn.cluster import KMeans

from nopal.numerics.kmeans import fit_kmeans


def timed(run: Callable[[], Any]) -> tuple[Any, np.ndarray]:
    """What `run` returns, and the wall and CPU seconds that it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    return result, np.array([time.perf_counter() - wall, time.process_time() - cpu])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--partitions", type=int, default=100, help="how many Nopal makes")
    parser.add_argument("--repeats", type=int, default=2, help="how many of them scikit-learn makes too")
    parser.add_argument("--quick", action="store_true", help="4,000 x 64 vectors, 100 clusters, 16 partitions")
    parser.add_argument("--vectors", help="a .npy file of vectors [n, d], in place of 1,100 blobs of 20")
    options = parser.parse_args()
    classes, d, clusters, partitions = (200, 64, 100, 16) if options.quick else (1100, 256, 500, options.partitions)
    random = np.random.default_rng(0)
    if options.vectors:
        z = np.load(options.vectors)
    else:
        z = random.normal(size=(classes, 1, d)) + random.normal(size=(classes, 20, d))
    z = z.reshape(-1, z.shape[-1]).astype(np.float32)
    scales = random.uniform(size=(partitions, z.shape[1])).astype(np.float32)
    scales[0] = 1

    fit_kmeans(z, scales, clusters, key=jax.random.key(0), iterations=1)  # compiles
    found, ours = timed(lambda: fit_kmeans(z, scales, clusters, key=jax.random.key(0)))
    theirs, inertia = [], []
    for p in range(min(options.repeats, partitions)):
        model, seconds = timed(lambda p=p: KMeans(clusters, n_init=1, random_state=p).fit(z * scales[p]))  # type: ignore[misc]
        theirs.append(seconds)
        inertia.append(found.inertia[p] / model.inertia_)
        print(f"scikit-learn, partition {p}: {seconds[0]:.2f} s, {model.n_iter_} iterations", flush=True)
    ours, other = ours / partitions, np.mean(theirs, axis=0)
    print(f"{len(z):,} x {z.shape[1]} vectors, {clusters} clusters, {partitions} partitions; seconds a partition")
    print(f"{'':14}{'wall':>8}{'CPU':>8}")
    for name, seconds in (("nopal", ours), ("scikit-learn", other), ("ratio", other / ours)):
        print(f"{name:14}{seconds[0]:8.2f}{seconds[1]:8.2f}")
    print(f"inertia, nopal / scikit-learn: {np.mean(inertia):.4f}; iterations of nopal: {found.iterations.mean():.1f}")


if __name__ == "__main__":
    main()
