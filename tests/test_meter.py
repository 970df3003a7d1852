"""The memorisation meter on learners of which it is known what they look at."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nopal.errors import NopalError
from nopal.learners.learner import Learner, MetaLearner
from nopal.learners.nearest_neighbour import NearestNeighbour
from nopal.loop import Moment
from nopal.meter import read_meter
from nopal.runs import MetricsLog
from nopal.stages.trials import Trial
from nopal.tasks import Categorical, Episode, Examples, Gaussian
from nopal.training import TrainState


class Flags(eqx.Module):
    """Three classes at places that are new in each task; beside the place an input says its class by a one-hot
    vector."""

    target: Categorical = eqx.field(static=True, default=Categorical(3))

    def sample(self, key):
        places = 5 * jax.random.normal(key, (3, 2))
        labels = jnp.arange(3)
        x = jnp.concatenate([places, jax.nn.one_hot(labels, 3)], axis=1)
        return Episode(Examples(x, labels, self.target), Examples(x + 1e-3, labels, self.target))


class Slopes(eqx.Module):
    """y = slope x with slope 1 or -1, seen at -1 and 1, asked at 2."""

    target: Gaussian = eqx.field(static=True, default=Gaussian(1))

    def sample(self, key):
        slope = jax.random.rademacher(key, (), jnp.float32)
        x = jnp.array([[-1.0], [1.0]])
        asked = jnp.array([[2.0]])
        return Episode(Examples(x, slope * x, self.target), Examples(asked, slope * asked, self.target))


class Says(Learner):
    """Takes the label from the input, whatever the support set says."""

    def adapt(self, support, *, key=None, steps=None):
        return lambda x: x[:, 2:]


class Places(Learner):
    """Nearest neighbours that see places only."""

    def adapt(self, support, *, key=None, steps=None):
        known = None if support is None else Examples(support.x[:, :2], support.y, support.target)
        predict = NearestNeighbour().adapt(known)
        return lambda x: predict(x[:, :2])


class Share(Learner):
    """`share` of the slope through the support set, and `more` times the input."""

    share: float
    more: float = 0.0

    def adapt(self, support, *, key=None, steps=None):
        slope = 0.0 if support is None else self.share * support.y[1, 0] / support.x[1, 0]
        return lambda x: (slope + self.more) * x


def read(learner, tasks, **options):
    return read_meter(learner, tasks, key=jax.random.key(3), **options)


def test_labels_that_inputs_give_away_are_memorised():
    reading = read(Says(), Flags(), episodes=20)
    assert reading.means() == dict.fromkeys(("right", "before", "shuffled", "foreign"), 1.0)
    assert (reading.reliance, reading.low, reading.high, reading.memorising) == (0.0, 0.0, 0.0, True)


def test_neighbours_have_nothing_but_the_support_set():
    reading = read(Places(), Flags(), episodes=400)
    assert (reading.means()["right"], reading.before, reading.guess) == (1.0, None, 1 / 3)
    assert 0.9 < reading.low <= reading.reliance <= 1
    assert not reading.memorising
    # A permutation of three labels leaves one in its place on average.
    np.testing.assert_allclose(reading.shuffled.mean(), 1 / 3, atol=0.06)


def test_who_reads_labels_alone_does_not_memorise_although_shuffling_them_does_no_harm():
    class Levels(eqx.Module):
        """A number for each task, which is the label of all its inputs."""

        target: Gaussian = eqx.field(static=True, default=Gaussian(1))

        def sample(self, key):
            x, y = jnp.zeros((2, 1)), jnp.full((2, 1), jax.random.normal(key))
            return Episode(Examples(x, y, self.target), Examples(x, y, self.target))

    class Mean(Learner):
        def adapt(self, support, *, key=None, steps=None):
            return lambda x: jnp.full((len(x), 1), 0.0 if support is None else support.y.mean())

    reading = read(Mean(), Levels(), episodes=100)
    np.testing.assert_array_equal(reading.shuffled, reading.right)
    # Levels of two tasks differ by twice the variance, which is the error of a guess: nothing is kept.
    assert (reading.low, reading.high, reading.memorising) == (pytest.approx(1, abs=0.2), 1.0, False)


def test_who_does_well_before_adapting_has_memorised_whatever_adaptation_spoils():
    class Unlearns(Says):
        """Is wrong wherever the support set is not that of the task."""

        def adapt(self, support, *, key=None, steps=None):
            says = super().adapt(support)
            if support is None:
                return says
            return lambda x: jnp.where(jnp.abs(x[:1, :1] - support.x[:1, :1]) < 0.01, says(x), -says(x))

    reading = read(Unlearns(), Flags(), episodes=100)
    assert (reading.means()["before"], reading.means()["foreign"], reading.memorising) == (1.0, 0.0, True)


def test_squared_errors_by_hand():
    reading = read(Share(0.5), Slopes(), episodes=300)
    # Labels are 2 and -2; right predictions are 1 off, those with the wrong slope 3.
    assert reading.means()["right"] == pytest.approx(1)
    assert reading.means()["before"] == pytest.approx(4)
    assert set(np.round(reading.foreign)) == set(np.round(reading.shuffled)) == {1, 9}
    np.testing.assert_allclose(reading.guess, 4, atol=0.1)
    # Half of the wrong slopes are right by chance, which is an error of 5: less than nothing is kept.
    assert (reading.reliance, reading.low, reading.high) == (1.0, 1.0, 1.0)


def test_what_diverges_is_as_good_as_a_guess():
    class Diverges(Share):
        """With a slope that is not the right one, which the queries alone tell."""

        def adapt(self, support, *, key=None, steps=None):
            slope = jnp.nan if support is None else support.y[1, 0] / support.x[1, 0]
            return lambda x: jnp.where(slope > 0, slope * x, jnp.inf)

    reading = read(Diverges(1.0), Slopes(), episodes=100)
    assert reading.means()["before"] == pytest.approx(reading.guess)
    assert set(np.round(reading.right)) == {0, 4}
    assert all(np.isfinite(list(reading.means().values())))
    assert reading.reliance is not None


def test_what_is_no_better_than_guessing_has_no_index():
    reading = read(Share(0.0), Slopes(), episodes=50)
    assert (reading.reliance, reading.low, reading.high, reading.memorising) == (None, None, None, False)
    assert "no better than guessing" in str(reading)
    assert reading.as_dict()["reliance"] is None


def test_a_part_of_what_is_known_comes_from_the_support_set():
    """Of 3 classes the input tells class 0 alone, always; the other two only the support set."""

    class Half(Learner):
        def adapt(self, support, *, key=None, steps=None):
            near = Places().adapt(support)

            def predict(x):
                of_rest = near(x).at[:, 0].set(0.0)
                return jnp.where(x[:, 2:3] > 0.5, jnp.eye(3)[0], of_rest)

            return predict

    reading = read(Half(), Flags(), episodes=900)
    # The gain is 2/3 with the right support set and 2/9 with a wrong one: class 0 stays right, the others by chance.
    wrong = reading.means()["foreign"]
    assert reading.reliance == pytest.approx(1 - (wrong - 1 / 3) / (2 / 3), abs=1e-6)
    assert 0.55 < reading.low < reading.reliance < reading.high < 0.75


def test_readings_are_the_same_every_time_and_refuse_too_few_tasks():
    one, other = (read(Places(), Flags(), episodes=20) for _ in range(2))
    assert one.as_dict() == other.as_dict()
    with pytest.raises(NopalError, match="tasks for the meter is 1"):
        read(Places(), Flags(), episodes=1)


class Trained(MetaLearner, Says):
    """As a state of meta-training holds it."""

    shape = (5,)

    def loss(self, episode, *, key):
        raise AssertionError


def test_a_log_has_readings_and_one_warning(tmp_path, capsys):
    with MetricsLog(tmp_path) as log:
        trial, said = Trial(Flags(), log=log), []
        for step in (10, 20, 30):
            trial(Moment(step, TrainState(Trained(), ()), {}))
            said.append(capsys.readouterr().err)
    assert said[0] == said[2] == ""
    assert said[1].startswith("Reliance on the support set: 0.00 (0.00 to 0.00). It memorises its training tasks: ")
    assert "Try meta-regularisation, meta-augmentation, or fresh labels" in said[1]
    columns = "step,meter_reliance,meter_low,meter_high,meter_right,meter_before,meter_shuffled,meter_foreign"
    assert (tmp_path / "metrics.csv").read_text().splitlines()[:2] == [columns, "10,0,0,0,1,1,1,1"]


def test_the_last_reading_alone_is_enough_for_the_warning(capsys):
    trial = Trial(Flags(), last=20)
    trial(Moment(20, TrainState(Trained(), ()), {}))
    assert capsys.readouterr().err.count("It memorises its training tasks") == 1
    trial = Trial(Flags(), Flags(), metered=False, last=20)
    trial(Moment(20, TrainState(Trained(), ()), {}))
    assert capsys.readouterr().err == ""
