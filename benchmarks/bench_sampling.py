"""What drawing episodes costs, as a share of a meta-step of second-order MAML on eight tasks.

    python benchmarks/bench_sampling.py [--out FILE.json]

The steps are those of bench_meta_step.py; beside them the same loop over the same devices draws the same episodes and
only sums their pixels.
"""

from __future__ import annotations

import equinox as eqx
import jax
from jax.sharding import Mesh
from jaxtyping import Array, PRNGKeyArray

import harness
import workload
from nopal.loop import run
from nopal.mapping import device_mesh, mean_over_tasks, replicate
from nopal.tasks import Classification

TASKS, STEPS, TARGET = 8, 3, 0.05


class Drawing(eqx.Module):
    """A step that draws the episodes of a meta-step and nothing more."""

    tasks: Classification
    mesh: Mesh = eqx.field(static=True)

    def __call__(self, state: Array, key: PRNGKeyArray) -> tuple[Array, dict[str, Array]]:
        def of_task(arrays: tuple, task: Array) -> Array:
            tasks, key = arrays
            episode = tasks.sample(jax.random.split(jax.random.fold_in(key, task))[0])
            return episode.support.x.sum() + episode.query.x.sum()

        ink = mean_over_tasks(of_task, (self.tasks, key), TASKS, self.mesh)
        return state + ink, {"ink": ink}


def main() -> None:
    options = harness.start(__doc__)
    key, mesh = jax.random.key(1), device_mesh()
    tasks = workload.tasks_of(workload.images(), way=20, shot=1, query=5)
    drawing, key = replicate((Drawing(tasks, mesh), key), mesh)

    def draw() -> None:
        run(drawing, replicate(jax.numpy.zeros(()), mesh), key, STEPS, chunk=STEPS)

    advance = workload.training(
        workload.published_maml(), tasks, key, tasks_per_step=TASKS, steps=STEPS, devices=options.cores
    )
    times = harness.in_turns({"meta-step": advance, "drawing": draw}, options.turns, STEPS)
    share = times["drawing"]["least_ms"] / times["meta-step"]["least_ms"]
    print(f"{times}; drawing is {100 * share:.1f}% of the meta-step (target: below {100 * TARGET:.0f}%)")
    harness.record(options, "sampling", [{"share": round(share, 4), "target_share": TARGET} | times])


if __name__ == "__main__":
    main()
