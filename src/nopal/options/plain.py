"""Options as what JSON can hold, and back."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Iterator
from typing import Any

from nopal.errors import NopalError

LATER = {"later": True}
"""Marks a choice that came after records were made: it is stored where it is not the default, so that older runs go on
and older records stay comparable."""


def to_plain(options: Any) -> dict[str, Any]:
    """What JSON can hold; a learner's options carry the name of their method, and of an encoder's only those count that
    belong to its name."""
    plain = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        where = field.metadata.get("where")
        if where and getattr(options, "name", None) not in where:
            continue
        if field.metadata.get("later") and value == field.default:
            continue
        plain[field.name] = to_plain(value) if dataclasses.is_dataclass(value) else value
    if method := getattr(options, "method", None):
        plain = {"method": method} | plain
    return plain


def from_plain(kind: Any, plain: Any) -> Any:
    """The inverse of `to_plain`; raises `NopalError` for a field that this Nopal doesn't know."""
    if plain is None:
        return None
    kinds = [member for member in typing.get_args(kind) or (kind,) if member is not type(None)]
    if methods := {member.method: member for member in _with_subclasses(kinds) if "method" in vars(member)}:
        method = plain.get("method")
        if method not in methods:
            raise NopalError(f"The method is {method!r}; this Nopal has {', '.join(methods)}.")
        kinds = [methods[method]]
    (kind,) = kinds
    hints = typing.get_type_hints(kind)
    known = {field.name for field in dataclasses.fields(kind)}
    values = {}
    for name, value in plain.items():
        if name == "method":
            continue
        if name not in known:
            raise NopalError(f"{kind.__name__} has no choice named {name!r}; it was made by another version of Nopal.")
        nested = isinstance(value, dict)
        values[name] = from_plain(hints[name], value) if nested else tuple(value) if isinstance(value, list) else value
    return kind(**values)


def _with_subclasses(kinds: Iterable[type]) -> Iterator[Any]:
    for kind in kinds:
        yield kind
        yield from _with_subclasses(kind.__subclasses__())
