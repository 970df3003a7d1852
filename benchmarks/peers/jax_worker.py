"""Plain JAX, as one would write MAML in an afternoon: `jit` of `value_and_grad` of the mean over `vmap` of tasks.

    python jax_worker.py WORK EPISODES.npz

The same requests as in torch_worker.py; in the environment of Nopal, of which it uses nothing.
"""

from __future__ import annotations

import functools
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax


def network(weights: dict, x: jax.Array) -> jax.Array:
    last = len(weights) // 2 - 1
    for i in range(last + 1):
        x = x @ weights[f"layers.{i}.kernel"] + weights[f"layers.{i}.bias"]
        x = x if i == last else jax.nn.relu(x)
    return x


def error(weights: dict, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.mean((network(weights, x) - y) ** 2)


def meta_loss(weights: dict, episodes: list, work: dict) -> jax.Array:
    def of_task(sx: jax.Array, sy: jax.Array, qx: jax.Array, qy: jax.Array) -> jax.Array:
        changed = weights
        for _ in range(work["inner_steps"]):
            slopes = jax.grad(error)(changed, sx, sy)
            changed = jax.tree.map(lambda w, g: w - work["inner_rate"] * g, changed, slopes)
        return error(changed, qx, qy)

    return jax.vmap(of_task)(*episodes).mean()


def main() -> None:
    work = json.loads(sys.argv[1])
    weights = dict(np.load(sys.argv[2]))
    episodes = [weights.pop(name) for name in ("support.x", "support.y", "query.x", "query.y")]
    derive = jax.value_and_grad(functools.partial(meta_loss, work=work))
    optimiser = optax.adam(1e-3)

    @jax.jit
    def step(weights: dict, state: tuple, episodes: list) -> tuple:
        loss, slopes = derive(weights, episodes)
        updates, state = optimiser.update(slopes, state)
        return optax.apply_updates(weights, updates), state, loss

    on_device = jax.device_put((weights, optimiser.init(weights), episodes))
    for line in sys.stdin:
        request, answer = json.loads(line), {}
        if request["do"] == "check":
            with jax.enable_x64(True):
                doubled = jax.tree.map(lambda a: np.float64(a), (weights, [a[: request["episodes"]] for a in episodes]))
                loss, slopes = jax.jit(derive)(*doubled)
                answer = {"loss": float(loss), "norm": float(optax.tree.norm(slopes))}
        elif request["do"] == "steps":
            now, state, given = on_device
            for _ in range(request["steps"]):
                now, state, loss = step(now, state, given)
            jax.block_until_ready(now)
            on_device = (now, state, given)
        elif request["do"] == "versions":
            answer = {"jax": jax.__version__}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
