"""k-means of scikit-learn and faiss, both from k-means++ seeds.

    python clustering_worker.py VECTORS.npz CLUSTERS THREADS

A request {"fit": "scikit-learn" | "faiss" | "faiss, 25 iterations from random rows", "partition": p} gets seconds, the
inertia and the number of iterations.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time

import faiss
import numpy as np
import threadpoolctl
from sklearn.cluster import KMeans


def scikit_learn(x: np.ndarray, clusters: int, seed: int) -> tuple[np.ndarray, int]:
    model = KMeans(clusters, n_init=1, random_state=seed).fit(x)
    return model.cluster_centers_, model.n_iter_


def with_faiss(x: np.ndarray, clusters: int, seed: int, **options: object) -> tuple[np.ndarray, int]:
    model = faiss.Kmeans(x.shape[1], clusters, seed=seed, max_points_per_centroid=len(x), **options)
    model.train(x)
    return model.centroids, len(model.obj)


def main() -> None:
    file, clusters, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    arrays = np.load(file)
    faiss.omp_set_num_threads(threads)
    threadpoolctl.threadpool_limits(threads)
    plus_plus = faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS
    kinds = {
        "scikit-learn": scikit_learn,
        "faiss": lambda *a: with_faiss(*a, niter=100, early_stop_threshold=1e-6, init_method=plus_plus),
        "faiss, 25 iterations from random rows": lambda *a: with_faiss(*a, niter=25),
    }
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("do") == "versions":
            answer = {name: importlib.metadata.version(name) for name in ("scikit-learn", "faiss-cpu")}
        else:
            p = request["partition"]
            x = np.ascontiguousarray(arrays["z"] * arrays["scales"][p])
            began = time.perf_counter()
            centroids, iterations = kinds[request["fit"]](x, clusters, p)
            seconds = time.perf_counter() - began
            index = faiss.IndexFlatL2(x.shape[1])
            index.add(np.ascontiguousarray(centroids, np.float32))
            inertia = float(index.search(x, 1)[0].astype(float).sum())
            answer = {"seconds": seconds, "inertia": inertia, "iterations": int(iterations)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
