"""Pose tasks: which views are drawn, what is predicted for them, and what is refused."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from nopal.errors import NopalError
from nopal.tasks import Circular, Gaussian, Poses, VonMises

OBJECTS, VIEWS, TASKS, TOO_UNLIKELY = 3, 6, 2000, 1e-4
ANGLES = (0.3 + np.arange(OBJECTS * VIEWS).reshape(OBJECTS, VIEWS) / 3).astype(np.float32)
# The one pixel of a view tells its object and its place.
IMAGES = np.arange(OBJECTS * VIEWS, dtype=np.uint8).reshape(OBJECTS, VIEWS, 1, 1)
many = eqx.filter_jit(lambda tasks, keys: jax.vmap(tasks.sample)(keys))


@pytest.fixture(scope="module")
def drawn():
    """The numbers of the views [task, example], and the episodes."""
    tasks = Poses(IMAGES, ANGLES, shot=2, query=3)
    episodes = many(tasks, jax.random.split(jax.random.key(0), TASKS))
    x = np.concatenate([episodes.support.x, episodes.query.x], axis=1).reshape(TASKS, 5)
    return np.rint(x * 255).astype(int), episodes


def test_a_task_is_of_one_object_whose_views_differ(drawn):
    views, episodes = drawn
    assert episodes.support.x.shape == (TASKS, 2, 1, 1, 1)
    assert (views // VIEWS == views[:, :1] // VIEWS).all()
    assert all(len(set(task)) == 5 for task in views.tolist())


def test_colours_stay_with_their_view():
    tasks = Poses(np.stack([IMAGES, 255 - IMAGES, 0 * IMAGES], -1), ANGLES, shot=2, query=3)
    assert tasks.shape == (1, 1, 3)
    grey, episode = (of.sample(jax.random.key(3)) for of in (Poses(IMAGES, ANGLES, shot=2, query=3), tasks))
    np.testing.assert_array_equal(episode.support.x[..., :1], grey.support.x)
    np.testing.assert_allclose(episode.query.x[..., 1], 1 - grey.query.x[..., 0], atol=1e-6)
    assert tasks.at(shot=1).sample(jax.random.key(3)).support.x.shape == (1, 1, 1, 3)


def test_objects_and_views_are_uniform(drawn):
    views, _ = drawn
    assert chisquare(np.bincount(views[:, 0] // VIEWS, minlength=OBJECTS)).pvalue > TOO_UNLIKELY
    for place in range(5):
        assert chisquare(np.bincount(views[:, place], minlength=OBJECTS * VIEWS)).pvalue > TOO_UNLIKELY


def test_a_full_turn_is_ten_and_belongs_to_its_view(drawn):
    views, episodes = drawn
    y = np.concatenate([episodes.support.y, episodes.query.y], axis=1)[..., 0]
    np.testing.assert_allclose(y, 10 * ANGLES.reshape(-1)[views] / (2 * math.pi), rtol=1e-6)


def test_bytes_stay_bytes_until_they_are_drawn_and_a_key_says_everything():
    tasks = Poses(IMAGES, ANGLES, shot=2, query=2, turn=1.0)
    assert tasks.images.dtype == jnp.uint8
    assert tasks.shape == (1, 1, 1)
    key = jax.random.key(7)
    compiled, plain = eqx.filter_jit(tasks.sample)(key), tasks.sample(key)
    np.testing.assert_array_equal(compiled.query.x, plain.query.x)
    np.testing.assert_allclose(compiled.query.y, plain.query.y, rtol=1e-6)
    circular = Poses(IMAGES, ANGLES, 2, 2, "circular", turn=1.0)
    np.testing.assert_array_equal(circular.sample(key).support.x, plain.support.x)  # rows of a table are paired


@pytest.mark.parametrize(
    ("options", "target"),
    [
        ({}, Gaussian(1, math.sqrt(0.5))),
        ({"wrapped": True}, Gaussian(1, math.sqrt(0.5), 10.0)),
        ({"target": "circular", "turn": 4.0}, Circular(4.0)),
        ({"target": "circular", "wrapped": True}, Circular(10.0, wrapped=True)),
        ({"target": "density"}, VonMises(10.0)),
        ({"target": "density", "wrapped": True, "turn": 4.0}, VonMises(4.0, wrapped=True)),
    ],
)
def test_the_target_and_its_other_difficulties(options, target):
    tasks = Poses(IMAGES, ANGLES, 2, 3, **options).at(shot=1)
    assert (tasks.shot, tasks.query, tasks.target, tasks.turn) == (1, 3, target, options.get("turn", 10))
    assert tasks.sample(jax.random.key(0)).target == target
    wrapped = Poses(IMAGES, ANGLES, 2, 3, **options | {"wrapped": True}).target
    assert tasks.other_targets == (() if "wrapped" in options else (wrapped,))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"shot": 4}, "4 support and 3 query views of one object; .* no more than the 6 views"),
        ({"query": 0}, "2 support and 0 query views"),
        ({"images": IMAGES.astype(float)}, "type float64, their angles .*expected bytes"),
        ({"images": IMAGES[..., 0]}, r"shape \(3, 6, 1\)"),
        ({"angles": ANGLES[:, 1:]}, r"their angles \(3, 5\)"),
        ({"angles": ANGLES - 1}, "radians from 0 to below 2 pi"),
        ({"angles": np.full_like(ANGLES, math.nan)}, "radians from 0"),
        ({"turn": 0.0}, "A full turn is 0.0 long"),
    ],
)
def test_what_makes_no_tasks_is_refused(change, sentence):
    with pytest.raises(NopalError, match=sentence):
        Poses(**({"images": IMAGES, "angles": ANGLES, "shot": 2, "query": 3} | change))
