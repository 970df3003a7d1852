"""Parameters by name: dotted paths such as `blocks.0.kernel`, chosen by patterns such as `*.kernel`."""

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
    """The floating-point arrays that a pattern names, and all the rest."""

    def chosen(path: tuple, leaf: object) -> bool:
        return eqx.is_inexact_array(leaf) and any(fnmatchcase(_name(path), pattern) for pattern in patterns)

    return eqx.partition(tree, jax.tree_util.tree_map_with_path(chosen, tree))


def check_patterns(tree: PyTree, patterns: Sequence[str]) -> None:
    """Raises `NopalError` for a pattern that names no floating-point array."""
    names = parameter_names(tree)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise NopalError(
                f"No parameter is named {pattern!r}; this network has {', '.join(names)}: choose some of those."
            )


def _name(path: tuple) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
