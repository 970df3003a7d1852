"""A family of tasks that one function solves without their support sets: plain MAML memorises it, meta-regularised MAML
must not. The same networks, rates and steps; only the weights' divergence differs."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from nopal.evaluation import evaluate
from nopal.learners import MAML, MetaRegularised
from nopal.meter import read_meter
from nopal.nets import MLP, MeanField
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Gaussian
from nopal.training import make_optimiser, train

LEVELS, SHOT, KEY = 8, 5, jax.random.key(1)


class Levels(eqx.Module):
    """y is one of eight levels from -2 to 2, which a one-hot input tells, but for noise of 0.3. Where the support set
    is `wrong`, its labels are those of another task."""

    wrong: bool = eqx.field(static=True, default=False)
    target: Gaussian = eqx.field(static=True, default=Gaussian(1, 0.5**0.5))

    def sample(self, key):
        of_task, of_noise = jax.random.split(key)
        own, other = jax.random.randint(of_task, (2,), 0, LEVELS)
        level = jnp.linspace(-2, 2, LEVELS)
        x = jnp.tile(jax.nn.one_hot(own, LEVELS), (2 * SHOT, 1))
        noise = 0.3 * jax.random.normal(of_noise, (2 * SHOT, 1))
        shown = level[other if self.wrong else own]
        support, query = (
            Examples(x[:SHOT], shown + noise[:SHOT], self.target),
            Examples(x[SHOT:], level[own] + noise[SHOT:], self.target),
        )
        return Episode(support, query)


def errors(encoder, beta):
    """Squared errors after meta-training, of adapted, of unadapted and of wrongly adapted predictions, and what the
    meter says."""
    head = MAML(MLP(2, 1, hidden=(), key=jax.random.key(0)), inner_rate=0.02, inner_steps=1)
    learner = MetaRegularised(encoder, head, beta=beta)
    options = {"steps": 800, "tasks_per_step": 4, "optimiser": make_optimiser(0.05), "chunk": 800}
    learner = train(learner, Levels(), key=KEY, devices=1, at_once=4, **options)
    tasks = [(Levels(), None), (Levels(), 0), (Levels(wrong=True), None)]
    found = [evaluate(learner, of, key=KEY, episodes=500, steps=steps, devices=1).mean for of, steps in tasks]
    return found, read_meter(learner, Levels(), key=KEY, episodes=100, devices=1)


def test_plain_maml_memorises_and_meta_regularised_maml_does_not():
    encoder = MLP(LEVELS, 2, hidden=(), key=jax.random.key(2))
    (adapted, unadapted, misled), reading = errors(encoder, beta=0.0)
    # The noise is all that is left, whatever the support set says.
    np.testing.assert_allclose([adapted, unadapted], 0.09, atol=0.04)
    assert misled < adapted + 0.3
    assert reading.memorising
    assert reading.high < 0.1
    (adapted, unadapted, misled), reading = errors(MeanField(encoder), beta=0.3)
    # Levels have a variance of 1.71; a wrong support set is taken at its word.
    assert adapted < 0.5
    assert unadapted > 1.4
    assert misled > adapted + 1.4
    assert not reading.memorising
    # Labels alone tell the level, so shuffling them does no harm.
    np.testing.assert_allclose(reading.shuffled, reading.right, rtol=1e-3)
    assert reading.low > 0.6
