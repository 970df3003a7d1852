"""The linear layer, whose derivative is written by hand, against the plain product."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.nets.linear import Linear

TASKS = 3


@pytest.mark.parametrize("widths", [(3, 5), (5, 3), (1, 4), (4, 1)])
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "one for each task"])
def test_gradients_and_their_directions_are_those_of_the_plain_product(widths, shared):
    with jax.enable_x64():
        keys = jax.random.split(jax.random.key(0), 4)
        kernel, towards = (jax.random.normal(key, widths if shared else (TASKS, *widths), float) for key in keys[:2])
        bias = jax.random.normal(keys[2], widths[1:], float)
        x = jax.random.normal(keys[3], (TASKS, 6, widths[0]), float)

        def derivatives(layer):
            def of_task(kernel, towards, x):
                both = jax.grad(lambda kernel, x: (jnp.tanh(layer(kernel, x)) ** 2).sum(), (0, 1))
                return jax.jvp(lambda kernel: both(kernel, x), (kernel,), (towards,))

            axis = None if shared else 0
            return jax.jit(jax.vmap(of_task, (axis, axis, 0)))(kernel, towards, x)

        ours = derivatives(lambda kernel, x: Linear(kernel, bias)(x))
        plain = derivatives(lambda kernel, x: x @ kernel + bias)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13), ours, plain)
