"""Meta-augmentation: one change of labels for a whole task, each change as likely, inputs as they were."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from nopal.errors import NopalError
from nopal.partitions import Partitions
from nopal.tasks import Augmented, Classification, Poses, Sinusoids

TASKS, TOO_UNLIKELY = 2000, 1e-4
many = eqx.filter_jit(lambda tasks, keys: jax.vmap(tasks.sample)(keys))


def poses(**options):
    angles = np.linspace(0, 2 * math.pi, 8, endpoint=False).reshape(2, 4)
    return Poses(np.arange(8, dtype=np.uint8).reshape(2, 4, 1, 1), angles, 2, 2, **options)


def fixed_classes():
    """Three classes of two rows, each with a label of its own: what invites memorising."""
    parts = Partitions.from_assignments(np.repeat([[0, 1, 2]], 2, axis=1), 3)
    parts = Partitions(parts.members, parts.starts, jnp.array([[0, 1, 2]], jnp.int32))
    return Classification(np.arange(6.0, dtype=np.float32)[:, None], parts, way=3, shot=1, query=1)


def changes(tasks, shifts=None):
    """Labels before and after, support beside query [task, m]; inputs must not have changed."""
    keys = jax.random.split(jax.random.key(0), TASKS)
    before, after = many(tasks, keys), many(Augmented(tasks, shifts), keys)
    for a, b in ((before.support, after.support), (before.query, after.query)):
        np.testing.assert_array_equal(a.x, b.x)
    return (np.concatenate([e.support.y, e.query.y], axis=1).reshape(TASKS, -1) for e in (before, after))


def test_numbers_of_a_task_are_shifted_together_and_uniformly():
    before, after = changes(Sinusoids(shot=2, query=3), 1.5)
    shift = after - before
    np.testing.assert_allclose(shift, np.tile(shift[:, :1], 5), atol=1e-5)
    assert kstest(shift[:, 0], "uniform", (-1.5, 3.0)).pvalue > TOO_UNLIKELY


def test_angles_turn_by_quarters_and_stay_on_the_circle():
    before, after = changes(poses())
    quarter = (after - before) % 10 / 2.5
    np.testing.assert_allclose(quarter, np.rint(quarter), atol=1e-5)
    quarter = np.rint(quarter).astype(int) % 4
    assert (quarter == quarter[:, :1]).all()
    assert chisquare(np.bincount(quarter[:, 0], minlength=4)).pvalue > TOO_UNLIKELY
    assert after.min() >= 0
    assert after.max() < 10


def test_shifts_of_ones_own_and_the_circular_target():
    before, after = changes(poses(target="circular"), (0.5, 9.5))
    shift = np.round((after - before) % 10, 4)
    assert set(shift.ravel().tolist()) == {0.5, 9.5}
    before, after = changes(poses(turn=1.0), 0.5)
    assert kstest((after - before)[:, 0] % 1, "uniform").pvalue > TOO_UNLIKELY


def test_classes_are_permuted_and_every_permutation_is_as_likely():
    before, after = changes(fixed_classes())
    assert (before == [0, 1, 2, 0, 1, 2]).all()
    assert (after[:, :3] == after[:, 3:]).all()
    assert chisquare(np.unique(after[:, :3], axis=0, return_counts=True)[1]).pvalue > TOO_UNLIKELY
    assert len(np.unique(after[:, :3], axis=0)) == 6


def test_a_key_says_everything_and_the_difficulty_may_change():
    tasks, key = Augmented(poses()), jax.random.key(3)
    np.testing.assert_allclose(eqx.filter_jit(tasks.sample)(key).query.y, tasks.sample(key).query.y, rtol=1e-6)
    harder = Augmented(poses(), 2.0).at(shot=1)
    assert (harder.tasks.shot, harder.shifts, harder.target) == (1, 2.0, poses().target)


@pytest.mark.parametrize(
    ("tasks", "shifts", "sentence"),
    [
        (Sinusoids(), None, "The shifts are None; expected a number above 0"),
        (Sinusoids(), (), r"The shifts are \(\)"),
        (poses(), 0.0, r"The shifts are 0\.0"),
        (poses(), float("inf"), "The shifts are inf"),
        (poses(), (0.0, float("nan")), "The shifts are .*nan"),
        (fixed_classes(), 1.0, "Classes are permuted, not shifted"),
    ],
)
def test_changes_that_make_no_sense_are_refused(tasks, shifts, sentence):
    with pytest.raises(NopalError, match=sentence):
        Augmented(tasks, shifts)
