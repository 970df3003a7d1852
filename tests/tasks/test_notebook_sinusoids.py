"""The fixed test tasks of the authors' notebooks: what NumPy's generator gives for their seeds is known."""

import jax
import numpy as np
import pytest
from scipy.stats import norm

from nopal.errors import NopalError
from nopal.options.tasks import SinusoidTasks
from nopal.tasks import Gaussian, NotebookSinusoids, Sinusoids

# The first uniform numbers after np.random.seed(n): facts about Mersenne Twister.
FIRST = {0: 0.5488135039273248, 1: 0.417022004702574, 4: 0.9670298390136767, 9: 0.010374153885699955}


def height(tasks, task):
    """The amplitude that fits the queries."""
    shot = tasks.tasks.shot
    wave, y = np.sin(tasks.x[task, shot:]), tasks.y[task, shot:]
    return float(wave @ y / (wave @ wave))


def test_of_maml():
    tasks = NotebookSinusoids("maml_notebook", 10)
    assert tasks.x.shape == tasks.y.shape == (100, 210)
    for seed in (0, 1):
        assert height(tasks, seed) == pytest.approx(0.1 + 3.9 * FIRST[seed], abs=0.03)
        assert tasks.x[seed, 0] == pytest.approx(-5 + 10 * FIRST[seed], abs=1e-5)
    np.testing.assert_allclose(tasks.x[:, 10:], np.tile(np.linspace(-4.5, 4.5, 200), (100, 1)), atol=1e-5)
    residual = np.array([tasks.y[task] - height(tasks, task) * np.sin(tasks.x[task]) for task in range(100)])
    assert residual[:, :10].std() == pytest.approx(0.1 * np.sqrt(2), rel=0.1)
    assert residual[:, 10:].std() == pytest.approx(0.1, rel=0.05)


def test_of_neural_processes():
    tasks = NotebookSinusoids("cnp_notebook")
    assert tasks.x.shape == tasks.y.shape == (100, 105)
    for task in (0, 1, 2, 3):
        assert height(tasks, task) == pytest.approx(0.1 + 3.9 * FIRST[task**2], abs=1e-5)
    # the second number of seed 0 is a support point, the seventh and eighth of its stream are noise, but normal
    assert tasks.x[0, 0] == pytest.approx(-5 + 10 * 0.7151893663724195, abs=1e-5)
    residual = np.array([tasks.y[task] - height(tasks, task) * np.sin(tasks.x[task]) for task in range(100)])
    assert np.abs(residual[:, 5:]).max() < 1e-4
    assert abs(norm(scale=0.1).cdf(residual[:, :5]).mean() - 0.5) < 0.05


@pytest.mark.parametrize(("version", "levels"), [("maml_notebook", range(16)), ("cnp_notebook", range(5, 16))])
def test_a_draw_is_one_of_the_hundred_with_a_level_by_chance(version, levels):
    tasks = NotebookSinusoids(version, 5)
    episodes = jax.vmap(tasks.sample)(jax.random.split(jax.random.key(0), 1000))
    drawn = np.concatenate([episodes.support.y, episodes.query.y], axis=1)[..., 0]
    which = (drawn[:, None] == np.asarray(tasks.y)).all(-1)
    assert (which.sum(1) == 1).all()
    assert which.any(0).all()
    level = episodes.query.x[:, 0, 1:].argmax(-1)
    assert np.unique(level).tolist() == list(levels)
    assert abs(np.corrcoef(which.argmax(1), level)[0, 1]) < 0.1
    like = Sinusoids.mistold(5, version=version).sample(jax.random.key(0))
    for examples, same in ((episodes.support, like.support), (episodes.query, like.query)):
        assert (examples.x.shape[1:], examples.y.shape[1:]) == (same.x.shape, same.y.shape)


def test_as_options():
    tasks = SinusoidTasks(deviation=0.1, version="cnp_notebook", fixed=True)
    assert isinstance(tasks.mistold(10), NotebookSinusoids)
    assert (tasks.mistold(10).target, tasks.mistold(10).tasks.shot) == (Gaussian(1, 0.1), 10)
    assert tasks.told(10, 10) == SinusoidTasks(deviation=0.1, version="cnp_notebook").told(10, 10)
    with pytest.raises(NopalError, match="The paper fixes no test tasks; take the version"):
        SinusoidTasks(fixed=True).mistold(5)
