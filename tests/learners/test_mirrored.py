"""Views with their mirror images, at opposite angles."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import nopal
from nopal.errors import NopalError
from nopal.learners import MAML, TAML, ConditionalNeuralProcess, CrossValidated, MetaRegularised, Mirrored, Ridge
from nopal.learners.angular_ridge import AngularRidge
from nopal.learners.mirrored import mirror_images, with_mirror_images
from nopal.nets.conv4 import Conv4
from nopal.nets.conv_encoder import ConvEncoder
from nopal.nets.mean_field import MeanField
from nopal.nets.mlp import MLP
from nopal.tasks import Poses
from nopal.tasks.circle import Circular, VonMises
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Gaussian

KEY, CIRCLE = jax.random.key(0), Circular(10.0)
RNG = np.random.default_rng(0)


def ridge(statistics="support", **options):
    return Ridge(Conv4((16, 16, 1), None, filters=4, key=KEY), CIRCLE, statistics=statistics, **options)


def examples(m, target=CIRCLE):
    return Examples(RNG.random((m, 16, 16, 1), np.float32), RNG.uniform(0, 10, (m, 1)).astype(np.float32), target)


def opposite(points):
    return np.asarray(points) * [-1, 1]


@pytest.mark.parametrize(("axis", "expected"), [(0.5, [4, 3, 2, 1]), (0.625, [1, 4, 3, 2]), (0.375, [3, 2, 1, 4])])
def test_a_mirror_image_exchanges_left_and_right_of_its_axis(axis, expected):
    # About 0.625 of four columns, 2.5 columns from the left, the middle of the third is the mirror image of itself.
    image = jnp.array([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 4, 1)
    assert mirror_images(image, axis).ravel().tolist() == expected
    np.testing.assert_array_equal(mirror_images(mirror_images(image, axis), axis), image)


def test_mirror_images_come_with_opposite_angles():
    known = Examples(jnp.zeros((3, 1, 2, 1)).at[0, 0, 0].set(1), jnp.array([[1.0], [0.0], [7.5]]), CIRCLE)
    both = with_mirror_images(known, 0.5)
    assert both.y.ravel().tolist() == [1.0, 0.0, 7.5, 9.0, 0.0, 2.5]
    np.testing.assert_allclose(CIRCLE.encode(both.y)[3:], opposite(CIRCLE.encode(known.y)), atol=1e-5)
    assert both.x[3].ravel().tolist() == [0.0, 1.0]


def test_predictions_for_a_view_and_its_mirror_image_are_opposite():
    predict = Mirrored(ridge(), 0.55).adapt(examples(5))
    views = jnp.asarray(RNG.random((4, 16, 16, 1), np.float32))
    seen, reflected = predict(views), predict(mirror_images(views, 0.55))
    assert np.abs(seen).max() > 0.01
    np.testing.assert_allclose(reflected, opposite(seen), atol=1e-5)


def test_distributions_for_a_view_and_its_mirror_image_are_opposite():
    target = VonMises(10.0)
    learner = Mirrored(AngularRidge(Conv4((16, 16, 1), None, filters=4, key=KEY), target), 0.55)
    predict = learner.adapt(examples(5, target))
    views = jnp.asarray(RNG.random((4, 16, 16, 1), np.float32))
    seen, reflected = (target.probabilities(predict(x)) for x in (views, mirror_images(views, 0.55)))
    assert jnp.abs(seen - 1 / seen.shape[1]).max() > 1e-4
    np.testing.assert_allclose(reflected, seen[:, ::-1], atol=1e-6)


def test_it_is_the_learner_on_twice_the_examples():
    plain, support, query = ridge(), examples(5), examples(4)
    both = [with_mirror_images(part, 0.5) for part in (support, query)]
    loss, aux = Mirrored(plain).loss(Episode(support, query), key=KEY)
    expected, _ = plain.loss(Episode(*both), key=KEY)
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    assert aux.keys() == {"score"}
    points = np.asarray(plain.adapt(both[0])(both[1].x))
    np.testing.assert_allclose(
        Mirrored(plain).adapt(support)(query.x), (points[:4] + opposite(points[4:])) / 2, atol=1e-6
    )


def bars(degrees):
    """A bar that leans to the right by an angle: half of its views mirror the other half."""
    row, column = np.mgrid[7.5:-8:-1, -7.5:8]
    angle = np.deg2rad(np.asarray(degrees, np.float32))[:, None, None]
    away = np.abs(column * np.cos(angle) - row * np.sin(angle))
    return jnp.asarray(away < 1.5, jnp.float32)[..., None]


def test_one_side_of_an_object_teaches_it_the_other():
    turn = Circular(180.0)  # a bar looks the same after half a turn
    known, asked = np.arange(4.0, 90, 9), np.arange(94.0, 180, 9)
    support = Examples(bars(known), known.astype(np.float32)[:, None], turn)
    plain = Ridge(ConvEncoder((16, 16, 1), 32, key=KEY), turn, penalty=1e-4)
    wrapped = Circular(180.0, wrapped=True)
    error = [
        float(wrapped.score(learner.adapt(support)(bars(asked)), jnp.asarray(asked[:, None], jnp.float32)).mean())
        for learner in (plain, Mirrored(plain))
    ]
    assert error[1] < 15**2 < 40**2 < error[0]


def test_learners_of_every_kind_are_meta_trained():
    support, query = examples(5), examples(4)
    encoder = MeanField(ConvEncoder((16, 16, 1), 6, key=KEY), scale=0.1)
    process = ConditionalNeuralProcess(6, CIRCLE, hidden=(8,), key=KEY)
    maml = MAML(Conv4((16, 16, 1), 2, filters=4, key=KEY), inner_rate=0.1, inner_steps=1)
    for learner in (ridge(), maml, MetaRegularised(encoder, process, beta=0.1)):
        slope = eqx.filter_grad(lambda own: own.loss(Episode(support, query), key=KEY)[0])(Mirrored(learner))
        leaves = jax.tree.leaves(eqx.filter(slope, eqx.is_inexact_array))
        assert all(jnp.isfinite(leaf).all() for leaf in leaves)
        assert any(jnp.abs(leaf).max() > 0 for leaf in leaves)
        assert np.isfinite(Mirrored(learner).adapt(support, key=KEY)(query.x)).all()
    assert Mirrored(maml).steps == 1
    assert Mirrored(maml).statistics == maml.statistics
    assert Mirrored(ridge()).adapt(None)(query.x).tolist() == [[0.0, 0.0]] * 4


class Both(eqx.Module):
    """Tasks whose views come with their mirror images."""

    tasks: Poses
    target = CIRCLE

    def sample(self, key):
        episode = self.tasks.sample(key)
        return Episode(*(with_mirror_images(part, 0.4) for part in (episode.support, episode.query)))


def test_running_statistics_are_those_of_views_and_mirror_images():
    images = RNG.integers(0, 256, (2, 20, 16, 16), np.uint8)
    tasks = Poses(images, RNG.uniform(0, 2 * math.pi, (2, 20)), 3, 2, "circular")
    learner = ridge("running")
    kept = nopal.calibrate(Mirrored(learner, 0.4), tasks, key=KEY, episodes=3)
    expected, plain = (nopal.calibrate(learner, of, key=KEY, episodes=3) for of in (Both(tasks), tasks))
    for found, right, wrong in zip(*(jax.tree.leaves(own.running) for own in (kept.learner, expected, plain))):
        np.testing.assert_allclose(found, right, rtol=1e-5)
        assert np.abs(found - wrong).max() > 1e-4
    episode = tasks.sample(KEY)
    assert np.isfinite(kept.adapt(episode.support)(episode.query.x)).all()


def test_what_has_no_mirror_image_is_refused():
    with pytest.raises(NopalError, match=r"shape \(3,\) have no mirror image"):
        Mirrored(Ridge(MLP(3, 5, key=KEY), CIRCLE))
    for axis in (0.0, 1.0, math.nan):
        with pytest.raises(NopalError, match="axis is"):
            Mirrored(ridge(), axis)
    with pytest.raises(NopalError, match="opposite angles on a circle"):
        Mirrored(ridge()).adapt(examples(3, Gaussian(1)))
    with pytest.raises(NopalError, match="couples the tasks"):
        Mirrored(TAML(MAML(Conv4((16, 16, 1), 2, filters=4, key=KEY))))
    with pytest.raises(NopalError, match="put Mirrored inside"):
        Mirrored(CrossValidated(ridge()))
