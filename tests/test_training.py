"""Meta-training on toys small enough to know what must come out."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from nopal.errors import NopalError
from nopal.evaluation import evaluate
from nopal.learners.maml import MAML
from nopal.learners.meta_regularisation import MetaRegularised
from nopal.learners.protonet import ProtoNet
from nopal.learners.ridge import Ridge
from nopal.nets.conv4 import Conv4
from nopal.nets.mean_field import MeanField
from nopal.nets.mlp import MLP
from nopal.nets.network import Network
from nopal.nets.normalisation import Normalisation
from nopal.partitions import from_labels
from nopal.runs import Checkpoints
from nopal.seeds import train_seeds
from nopal.tasks.classification import Classification
from nopal.tasks.episode import Episode, Examples
from nopal.tasks.target import Categorical, Gaussian
from nopal.training import MetaStep, calibrate, initial_state, make_optimiser, mesh_for, train


class Embed(Network):
    """A matrix, then normalisation without a scale; `calls` is no parameter and must stay what it is."""

    shape: tuple[int, int, int] = eqx.field(static=True, default=(1, 1, 1), kw_only=True)
    kernel: jax.Array
    normalisation: Normalisation
    calls: jax.Array

    def __call__(self, x, statistics=None):
        x, moments = self.normalisation(x @ self.kernel, statistics and statistics[0])
        return x, (moments,)


class OneEpisode(eqx.Module):
    """A task distribution with a single task."""

    episode: Episode

    @property
    def target(self):
        return self.episode.target

    def sample(self, key):
        return self.episode


@pytest.fixture(autouse=True)
def even_little_work_is_shared_out(monkeypatch):
    monkeypatch.setattr("nopal.mapping.MEETING", 0)


def learner(**options):
    kernel = jnp.asarray(np.random.default_rng(0).normal(size=(6, 3)), jnp.float32)
    return ProtoNet(Embed(kernel, Normalisation(3, scale=False), jnp.asarray(7)), **options)


def toy():
    """Twelve classes that differ in two features of six; the other four are loud noise."""
    draw = np.random.default_rng(1)
    labels = np.repeat(np.arange(12), 10)
    x = draw.normal(size=(120, 6)) * [0.2, 0.2, 3, 3, 3, 3]
    x[:, :2] += draw.normal(size=(12, 2))[labels]
    return Classification(x.astype(np.float32), from_labels(labels), way=3, shot=1, query=2)


def leaves(tree):
    return [np.array(leaf) for leaf in jax.tree.leaves(eqx.filter(tree, eqx.is_array))]


def assert_close(one, other, **tolerance):
    for a, b in zip(leaves(one), leaves(other), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


ADAM = make_optimiser(0.03)
"""Shared, so that programs that are the same are compiled once."""


def trained(of=None, **options):
    usual = {"steps": 10, "tasks_per_step": 3, "key": jax.random.key(5), "chunk": 5, "optimiser": ADAM}
    return train(of or learner(), toy(), **(usual | options))


def test_the_loss_falls_and_the_score_rises():
    metrics = {"loss": [], "score": []}

    def collect(moment):
        for name, values in metrics.items():
            values.extend(moment.metrics[name])

    trained(steps=150, hooks=[collect])
    assert len(metrics["loss"]) == 150
    assert np.mean(metrics["loss"][-30:]) < 0.6 * np.mean(metrics["loss"][:30])
    assert np.mean(metrics["score"][-30:]) > np.mean(metrics["score"][:30]) + 0.1


def test_a_step_goes_down_the_gradient_of_the_loss_and_moves_parameters_only():
    draw = np.random.default_rng(2)
    support, query = (
        Examples(draw.normal(size=(4, 6)).astype(np.float32), np.array([0, 0, 1, 1]), Categorical(2)) for _ in "sq"
    )
    task = Episode(support, query)
    before = learner()
    gradient = eqx.filter_grad(lambda learner: learner.loss(task)[0])(before)
    expected = eqx.apply_updates(before, jax.tree.map(lambda g: -0.5 * g, gradient))
    sgd = optax.sgd(0.5)
    after = train(before, OneEpisode(task), steps=1, tasks_per_step=3, optimiser=sgd, key=jax.random.key(0))
    assert_close(after, expected, rtol=1e-4, atol=1e-6)
    assert after.network.calls == 7


@pytest.mark.parametrize("options", [{}, {"devices": 1, "at_once": 4}], ids=str)
def test_neither_learner_nor_key_are_used_up(options):
    before, key = learner(), jax.random.key(5)
    copy = leaves(before)
    after = trained(before, key=key, **options)
    for now, then in zip(leaves(before), copy, strict=True):
        np.testing.assert_array_equal(now, then)
    assert not np.array_equal(after.network.kernel, before.network.kernel)
    assert_close(trained(before, key=key, **options), after, rtol=0)


def test_the_key_decides():
    assert not np.allclose(trained(key=jax.random.key(6)).network.kernel, trained().network.kernel)


def test_neither_devices_nor_vectorising_change_the_result():
    # Not with Adam: the shift has no gradient but rounding, which Adam would blow up.
    sgd = optax.sgd(0.1)
    one, two = trained(optimiser=sgd, devices=1, at_once=4), trained(optimiser=sgd, devices=2, at_once=1)
    assert_close(one, two, rtol=1e-3, atol=1e-5)
    assert not np.allclose(one.network.kernel, learner().network.kernel, atol=1e-2)


def test_resumed_from_a_state_it_repeats_the_uninterrupted_run_bit_for_bit():
    kept = []

    def keep(moment):
        if moment.step == 5:
            kept.append(jax.tree.map(lambda leaf: np.array(leaf) if eqx.is_array(leaf) else leaf, moment.state))

    whole = trained(hooks=[keep])
    state = jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, kept[0])
    assert_close(trained(state=state, start=5), whole, rtol=0)


def test_clipping_limits_every_entry_of_the_gradient():
    optimiser = make_optimiser(0.1, clip=10.0)
    gradient = {"w": jnp.array([1e4, -11.0, 3.0])}
    _, state = optimiser.update(gradient, optimiser.init(gradient))
    np.testing.assert_allclose(optax.tree_utils.tree_get(state, "mu")["w"], [1.0, -1.0, 0.3], rtol=1e-6)
    _, state = make_optimiser(0.1).update(gradient, make_optimiser(0.1).init(gradient))
    np.testing.assert_allclose(optax.tree_utils.tree_get(state, "mu")["w"], [1e3, -1.1, 0.3], rtol=1e-6)


def test_annealed_steps_shrink_to_nothing_along_half_a_cosine():
    """Where the gradient stays the same, every step of Adam is the whole rate; decay shrinks with it."""
    optimiser, w = make_optimiser(0.1, anneal=4), jnp.array(2.0)
    state, steps = optimiser.init(w), []
    for _ in range(5):
        update, state = optimiser.update(jnp.array(3.0), state, w)
        steps.append(-float(update))
    shares = 0.5 * (1 + np.cos(np.pi * np.arange(5) / 4))
    np.testing.assert_allclose(steps, 0.1 * shares, rtol=1e-5, atol=1e-7)
    decaying = make_optimiser(0.1, weight_decay=0.5, decay="per_step", fresh=("*",), anneal=4)
    parameters = {"w": w}
    state = decaying.init(parameters)
    for share in shares:
        update, state = decaying.update({"w": jnp.array(3.0)}, state, parameters)
        np.testing.assert_allclose(update["w"], -share * (0.1 + 0.5 * 2.0), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("decay", ["times_rate", "per_step"])
def test_scales_of_drawn_weights_do_not_decay(decay):
    """With no gradient nothing but decay moves anything."""
    parameters = eqx.filter(MeanField(MLP(2, 1, hidden=(), key=jax.random.key(0))), eqx.is_inexact_array)
    parameters = {"encoder": parameters}
    optimiser = make_optimiser(0.1, weight_decay=0.5, decay=decay)
    nothing = jax.tree.map(jnp.zeros_like, parameters)
    update, _ = optimiser.update(nothing, optimiser.init(parameters), parameters)
    found = update["encoder"]
    np.testing.assert_array_equal(found.rho.layers[0].kernel, 0)
    share = 0.05 if decay == "times_rate" else 0.5
    np.testing.assert_allclose(
        found.mean.layers[0].kernel, -share * parameters["encoder"].mean.layers[0].kernel, rtol=1e-6
    )


@pytest.mark.parametrize("decay", ["times_rate", "per_step"])
def test_learned_rates_and_penalties_do_not_decay(decay):
    """At 0 nothing would be adapted; of what is kept as a logarithm 0 stands for 1."""
    network = MLP(2, 1, hidden=(), key=jax.random.key(0))
    learners = MAML(network, inner_rate=0.1, rates="per_tensor"), Ridge(network, Gaussian(1), penalty=0.1)
    parameters = eqx.filter(learners, eqx.is_inexact_array)
    optimiser = make_optimiser(0.1, weight_decay=0.5, decay=decay)
    nothing = jax.tree.map(jnp.zeros_like, parameters)
    of_maml, of_ridge = optimiser.update(nothing, optimiser.init(parameters), parameters)[0]
    assert not any(rate.any() for rate in jax.tree.leaves(of_maml.rates))
    assert float(of_ridge.log_penalty) == 0.0
    assert of_ridge.network.layers[0].kernel.any()


@pytest.mark.parametrize("weight_decay", [-1.0, float("nan"), float("inf")])
def test_weights_that_would_grow_are_refused(weight_decay):
    with pytest.raises(NopalError, match=r"The weight decay is .*; expected a number from 0 on"):
        make_optimiser(weight_decay=weight_decay)


def test_there_is_a_step_to_anneal_over():
    with pytest.raises(NopalError, match="annealed over 0 steps; expected at least 1"):
        make_optimiser(anneal=0)


def test_the_first_state_is_a_copy():
    before = learner()
    state = initial_state(before, make_optimiser())
    assert state.learner.network.kernel is not before.network.kernel
    assert_close(state.learner, before, rtol=0)


@pytest.mark.parametrize("counts", [{"steps": 0}, {"steps": -5}, {"tasks_per_step": 0}])
def test_counts_below_one_are_refused(counts):
    with pytest.raises(NopalError, match=r"Steps are -?\d+ and tasks per step \d+; expected at least 1 of each"):
        trained(**counts)


def test_running_statistics_are_the_mean_of_those_of_episodes():
    """With a single task they are its own: of support set and queries together, as in meta-training."""
    task = toy().sample(jax.random.key(0))
    both = np.concatenate([task.support.x, task.query.x]) @ np.asarray(learner().network.kernel)
    moments = calibrate(learner(statistics="running"), OneEpisode(task), key=jax.random.key(0), episodes=3).running[0]
    np.testing.assert_allclose(moments.mean, both.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moments.variance, both.var(0), rtol=1e-4)


def test_training_calibrates_where_statistics_are_running_and_only_there():
    calibrated = trained(learner(statistics="running"), steps=1)
    assert (calibrated.running[0].variance > 0).all()
    assert trained().running is None


def test_a_run_can_not_end_before_it_was_resumed():
    tasks = Classification(
        np.ones((12, 2), np.float32), from_labels(np.repeat(np.arange(4), 3)), way=2, shot=1, query=1
    )
    learner = ProtoNet(Embed(kernel=jnp.eye(2), normalisation=Normalisation(2, scale=False), calls=jnp.array(0)))
    with pytest.raises(NopalError, match="5 steps already"):
        train(learner, tasks, steps=2, key=jax.random.key(0), start=5)


def test_a_state_that_was_given_survives():
    tasks = Classification(
        np.eye(12, 2, dtype=np.float32), from_labels(np.repeat(np.arange(4), 3)), way=2, shot=1, query=1
    )
    learner = ProtoNet(Embed(kernel=jnp.eye(2), normalisation=Normalisation(2, scale=False), calls=jnp.array(0)))
    state = initial_state(learner, make_optimiser())
    train(learner, tasks, steps=1, tasks_per_step=1, key=jax.random.key(0), state=state, devices=1)
    assert np.array_equal(state.learner.network.kernel, np.eye(2))


def test_devices_that_share_the_examples_of_one_task_change_nothing():
    """Prototypical networks, one task a step: with two devices each embeds half of the queries."""
    sgd = optax.sgd(0.01)
    one, two = (trained(optimiser=sgd, tasks_per_step=1, steps=3, devices=devices) for devices in (1, 2))
    assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_devices_without_a_task_are_left_out_where_examples_cannot_be_shared():
    assert mesh_for(learner(), 1, 2).size == 2
    assert mesh_for(MAML(Conv4((16, 16, 1), 3, key=jax.random.key(0))), 1, 2).size == 1
    assert mesh_for(MAML(Conv4((16, 16, 1), 3, key=jax.random.key(0))), 3, 2).size == 2


def test_adam_begun_anew_moves_by_the_rate_whatever_the_gradient() -> None:
    optimiser = make_optimiser(0.1, fresh=("first.*",))
    kept = make_optimiser(0.1)
    weights = {"first": {"kernel": jnp.zeros(3)}, "second": {"kernel": jnp.zeros(3)}}
    state, other = optimiser.init(weights), kept.init(weights)
    for slope in ([1.0, -1e-3, 0.0], [1e-3, -1.0, 2.0]):
        gradient = {name: {"kernel": jnp.array(slope)} for name in weights}
        update, state = optimiser.update(gradient, state, weights)
        expected, other = kept.update(gradient, other, weights)
        signs = -0.1 * np.sign(slope)
        np.testing.assert_allclose(update["first"]["kernel"], signs, rtol=1e-3)
        np.testing.assert_allclose(update["second"]["kernel"], expected["second"]["kernel"], rtol=1e-6)


def test_adam_begun_anew_has_no_schedule() -> None:
    with pytest.raises(NopalError, match="fixed rate"):
        make_optimiser(lambda step: 0.1, fresh=("*",))


# A learner with noise in it.


def noisy(**options):
    """MR-MAML on twelve features in small."""
    first, second = jax.random.split(jax.random.key(2))
    encoder = MeanField(MLP(6, 4, hidden=(), key=first), scale=0.3)
    head = MAML(MLP(4, 3, hidden=(), key=second), inner_rate=0.1, inner_steps=1)
    return MetaRegularised(encoder, head, **({"beta": 1e-3} | options))


@pytest.mark.parametrize(("draws", "devices"), [("step", 2), ("call", 1)])
def test_a_step_through_what_was_drawn_for_it_goes_down_the_gradient_of_the_mean_loss(draws, devices):
    before, tasks, key, sgd = noisy(draws=draws), toy(), jax.random.key(3), optax.sgd(1.0)

    @eqx.filter_jit
    @eqx.filter_grad
    def whole(learner):
        learner = learner.for_step(jax.random.fold_in(key, 3))
        total = 0.0
        for i in range(3):
            draw, noise = jax.random.split(jax.random.fold_in(key, i))
            total += learner.loss(tasks.sample(draw), key=noise)[0] / 3
        return total

    expected = eqx.apply_updates(before, jax.tree.map(jnp.negative, whole(before)))
    step = MetaStep(tasks, sgd, 3, mesh_for(before, 3, devices))
    after, metrics = eqx.filter_jit(step)(initial_state(before, sgd), key)
    assert_close(after.learner, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(metrics["kl"], before.encoder.weights.kl, rtol=1e-5)
    assert not np.allclose(
        after.learner.encoder.weights.rho.layers[0].kernel, before.encoder.weights.rho.layers[0].kernel
    )


def test_a_noisy_learner_is_trained_resumed_from_disk_and_trained_with_other_seeds_bit_for_bit(tmp_path):
    options = {"steps": 4, "tasks_per_step": 2, "chunk": 2, "optimiser": ADAM}
    checkpoints = Checkpoints(tmp_path)
    keys = [jax.random.key(5), jax.random.key(6)]
    hooks = [lambda moment: checkpoints.save(moment.step, moment.state) if moment.step == 2 else None]
    whole = [train(noisy(), toy(), key=keys[0], hooks=hooks, devices=1, at_once=1, **options)]
    state = checkpoints.restore(initial_state(noisy(), ADAM))
    resumed = train(noisy(), toy(), key=keys[0], state=state, start=2, devices=1, at_once=1, **options)
    assert_close(resumed, whole[0], rtol=0)
    whole.append(train(noisy(), toy(), key=keys[1], devices=1, at_once=1, **options))
    tasks = toy()
    together = train_seeds([noisy()] * 2, tasks, keys=keys, devices=1, at_once=1, vectorise_seeds=False, **options)
    assert_close(together, whole, rtol=0)
    assert not np.allclose(
        whole[0].encoder.weights.mean.layers[0].kernel, noisy().encoder.weights.mean.layers[0].kernel
    )
    scores = evaluate(noisy(samples=2), tasks, key=keys[0], episodes=4, devices=1)
    assert ((scores.values >= 0) & (scores.values <= 1)).all()
    assert scores.statistics == "none"
