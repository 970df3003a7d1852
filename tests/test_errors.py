"""Names of methods that are none are refused, not taken for another method."""

from __future__ import annotations

import subprocess
import sys

import pytest

from nopal import NopalError
from nopal.errors import check_choice
from nopal.learners.maml import Reduction

# In a process of its own, for in tests beartype would refuse them first.
_MISSPELT = """
import jax, math
from nopal import NopalError
from nopal.learners import MAML, TAML, ConditionalNeuralProcess, MetaRegularised, NeuralProcess, ProtoNet
from nopal.nets import MLP, Bottleneck
from nopal.tasks import Augmented, Gaussian, Sinusoids
key, line = jax.random.key(0), Gaussian(1)
net = MLP(1, 2, hidden=(), key=key)
learner = ConditionalNeuralProcess(2, line, key=key)
for make in (
    lambda: MetaRegularised(net, learner, draws="no"), lambda: MetaRegularised(net, learner, of="no"),
    lambda: Bottleneck(net, "no"), lambda: ConditionalNeuralProcess(1, line, over_queries="no", key=key),
    lambda: NeuralProcess(1, line, over_queries="no", key=key), lambda: Sinusoids.told(version="no"),
    lambda: MAML(net, statistics="no"), lambda: MAML(net, reduction="no"), lambda: MAML(net, rates="no"),
    lambda: ProtoNet(net, statistics="no"), lambda: ProtoNet(net).with_statistics("no"),
    lambda: Augmented(Sinusoids(), math.nan), lambda: Augmented(Sinusoids(), -1.0),
    lambda: TAML(MetaRegularised(net, learner)), lambda: Sinusoids(noise=(math.nan, 0.0)),
    lambda: Sinusoids(noise=(0.0, math.nan)),
):
    try:
        make()
    except NopalError as error:
        assert "; expected " in str(error)
    else:
        raise AssertionError(make)
"""


def test_a_choice_is_one_of_those_listed() -> None:
    check_choice("reduction", "mean", Reduction)
    with pytest.raises(NopalError, match=r"^The reduction is 'most'; expected one of mean, class_sum\.$"):
        check_choice("reduction", "most", Reduction)


def test_misspelt_names_are_refused() -> None:
    subprocess.run([sys.executable, "-c", _MISSPELT], check=True, timeout=300)
