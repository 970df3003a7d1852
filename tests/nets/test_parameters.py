"""Parameters by dotted names."""

import jax
import jax.numpy as jnp
import pytest

from nopal.errors import NopalError
from nopal.nets import MLP
from nopal.nets.parameters import check_patterns, parameter_names, split_parameters

TREE = {"net": MLP(2, 3, hidden=(4,), key=jax.random.key(0)), "count": jnp.arange(3), "free": None, "text": "kernel"}
NAMES = ["net.layers.0.kernel", "net.layers.0.bias", "net.layers.1.kernel", "net.layers.1.bias"]


def test_names_are_those_of_floating_point_arrays():
    assert parameter_names(TREE) == NAMES


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (("*",), NAMES),
        (("*kernel",), NAMES[::2]),
        (("net.layers.1.*", "*.0.bias"), NAMES[1:]),
        (("KERNEL",), []),
        (("!*.1.*", "*kernel"), NAMES[:1]),
        (("*", "!*kernel", "!*.0.*"), NAMES[3:]),
        ((), []),
    ],
)
def test_patterns_divide_a_tree_into_what_they_name_and_the_rest(patterns, chosen):
    named, rest = split_parameters(TREE, patterns)
    assert parameter_names(named) == chosen
    assert sorted(parameter_names(rest) + chosen) == sorted(NAMES)
    assert (rest["text"], named["text"]) == ("kernel", None)
    assert rest["count"] is TREE["count"]


def test_each_pattern_must_name_something():
    check_patterns(TREE, ("*.bias", "net.*", "!rates.*"))
    with pytest.raises(NopalError, match=r"The patterns are the text '\*'; expected several of them, such as"):
        check_patterns(TREE, "*")
    with pytest.raises(NopalError, match=r"No parameter is named 'count'; this network has net\.layers\.0\.kernel, "):
        check_patterns(TREE, ("*", "count"))
    for patterns in (("!*kernel",), ("*bias", "!net.*")):
        with pytest.raises(NopalError, match="choose no parameter; begin with those that do"):
            check_patterns(TREE, patterns)
