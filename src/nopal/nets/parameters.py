"""Parameters by name: dotted paths such as `blocks.0.kernel`, chosen by patterns such as `*.kernel`, and left out by
patterns such as `!head.*`."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import equinox as eqx
import jax
from jaxtyping import PyTree

from nopal.errors import NopalError


def parameter_names(tree: PyTree) -> list[str]:
    """Dotted paths of all floating-point arrays."""
    leaves = jax.tree_util.tree_leaves_with_path(eqx.filter(tree, eqx.is_inexact_array))
    return [_name(path) for path, _ in leaves]


def split_parameters(tree: PyTree, patterns: Sequence[str]) -> tuple[PyTree, PyTree]:
    """The floating-point arrays that a pattern names and none leaves out, and all the rest."""
    left_out = tuple(pattern[1:] for pattern in patterns if pattern.startswith("!"))

    def chosen(path: tuple, leaf: object) -> bool:
        named = eqx.is_inexact_array(leaf) and _fits(_name(path), patterns)
        return named and not _fits(_name(path), left_out)

    return eqx.partition(tree, jax.tree_util.tree_map_with_path(chosen, tree))


def check_patterns(tree: PyTree, patterns: Sequence[str]) -> None:
    """Raises `NopalError` for a pattern that names no floating-point array, unless it only leaves some out, for
    patterns that leave out all that they name, and for a text in place of several."""
    if isinstance(patterns, str):
        raise NopalError(f"The patterns are the text {patterns!r}; expected several of them, such as ({patterns!r},).")
    names = parameter_names(tree)
    for pattern in patterns:
        if not pattern.startswith("!") and not any(_fits(name, (pattern,)) for name in names):
            raise NopalError(
                f"No parameter is named {pattern!r}; this network has {', '.join(names)}: choose some of those."
            )
    if patterns and not parameter_names(split_parameters(tree, patterns)[0]):
        raise NopalError(
            f"The patterns {', '.join(patterns)} choose no parameter; begin with those that do, such as '*', before "
            "those that leave some out."
        )


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
