"""Partitions by hyperplanes: Nopal against the procedure of CACTUs written in NumPy, split by split, set by set.

    python benchmarks/bench_hyperplanes.py [--partitions 100] [--splits 1000] [--out FILE.json]

22,000 vectors of 256 numbers, 20-way tasks of 6 examples a class, as on Omniglot. The reference measures each split by
itself and keeps the rows on either side as index arrays; a partition intersects them cell by cell. "masks" is the same
with one comparison of all splits and Boolean masks in place of index arrays, the best that a NumPy loop gives.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import numpy as np

import harness
from nopal.partitions import from_hyperplanes
from nopal.runs.files import write_json
from nopal.runs.provenance import environment

N, D, WAY, MEMBERS, MARGIN, REACH, TARGET = 22_000, 256, 20, 6, 1.2, 0.8, 10.0
CUTS = (WAY - 1).bit_length()


def hyperplane(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A normal of length 1, and a point."""
    normal = random.uniform(-1, 1, D).astype(np.float32)
    return normal / np.linalg.norm(normal), random.uniform(-REACH, REACH, D).astype(np.float32)


def by_sets(z: np.ndarray, partitions: int, splits: int) -> list[list[np.ndarray]]:
    """The reference's procedure; the cells that are kept, as index arrays."""
    random = np.random.default_rng(0)
    sides = []
    while len(sides) < splits:
        normal, point = hyperplane(random)
        signed = (z - point) @ normal
        below, above = np.flatnonzero(signed <= -MARGIN), np.flatnonzero(signed >= MARGIN)
        if min(len(below), len(above)) >= 10 * MEMBERS:
            sides.append((below, above))
    found: list[list[np.ndarray]] = []
    while len(found) < partitions:
        cells = [np.arange(N)]
        for split in random.choice(splits, CUTS, replace=False):
            cells = [np.intersect1d(cell, side, assume_unique=True) for cell in cells for side in sides[split]]
        kept = [cell for cell in cells if len(cell) >= MEMBERS]
        if len(kept) >= WAY:
            found.append(kept)
    return found


def by_masks(z: np.ndarray, partitions: int, splits: int) -> list[list[np.ndarray]]:
    """The same with Boolean masks."""
    random = np.random.default_rng(0)
    sides = []
    while len(sides) < splits:
        normal, point = hyperplane(random)
        signed = z @ normal - point @ normal
        below, above = signed <= -MARGIN, signed >= MARGIN
        if min(below.sum(), above.sum()) >= 10 * MEMBERS:
            sides.append((below, above))
    found: list[list[np.ndarray]] = []
    while len(found) < partitions:
        masks = [np.ones(N, bool)]
        for split in random.choice(splits, CUTS, replace=False):
            masks = [mask & side for mask in masks for side in sides[split]]
        kept = [rows for mask in masks if len(rows := np.flatnonzero(mask)) >= MEMBERS]
        if len(kept) >= WAY:
            found.append(kept)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=2, help="cores for each side (default 2)")
    parser.add_argument("--turns", type=int, default=7, help="how often each side is timed (default 7)")
    parser.add_argument("--out", type=Path, help="write the record to this JSON file")
    parser.add_argument("--partitions", type=int, default=100, help="how many are made (default 100; published 2400)")
    parser.add_argument("--splits", type=int, default=1000, help="hyperplanes to choose from (default 1000)")
    options = parser.parse_args()
    harness.keep_to(options.cores)
    jax.config.update("jax_num_cpu_devices", options.cores)
    random = np.random.default_rng(0)
    z = 5 * (random.normal(size=(1100, 1, D)) + 0.5 * random.normal(size=(1100, 20, D)))
    z = z.reshape(N, D).astype(np.float32)
    sizes = options.partitions, options.splits

    def ours() -> np.ndarray:
        parts = from_hyperplanes(
            z, way=WAY, partitions=sizes[0], margin=MARGIN, min_members=MEMBERS, splits=sizes[1], key=jax.random.key(0)
        )
        return np.asarray(parts.sizes)

    made = ours()
    rows = {"nopal": made.sum() / sizes[0]}
    for name, way in (("sets", by_sets), ("masks", by_masks)):
        rows[name] = sum(len(cell) for cells in way(z, *sizes) for cell in cells) / sizes[0]
    print("rows in the cells of a partition:", {name: round(float(mean)) for name, mean in rows.items()})
    harness.agree(
        "the reference", {"mean number of rows": rows["nopal"]}, {"mean number of rows": rows["sets"]}, tolerance=0.05
    )
    times = harness.in_turns(
        {"nopal": ours, "sets": lambda: by_sets(z, *sizes), "masks": lambda: by_masks(z, *sizes)}, options.turns
    )
    ratio = {name: round(times[name]["least_ms"] / times["nopal"]["least_ms"], 1) for name in ("sets", "masks")}
    print(f"{times}; Nopal is {ratio} times as fast (target: {TARGET} times the reference's sets)")
    about = {"partitions": sizes[0], "splits": sizes[1], "ratio": ratio, "target_ratio": TARGET}
    if options.out:
        made_with = {"benchmark": "hyperplanes", "cores": options.cores, "results": [about | times]}
        write_json(options.out, made_with | environment())


if __name__ == "__main__":
    main()
