"""The one exception that is meant for a person."""

from __future__ import annotations

from typing import Any, get_args


class NopalError(ValueError):
    """Bad input, told in one sentence: what was wrong, what was expected, what to do.

    The command line prints the sentence and exits with status 2; library users may catch it as a `ValueError`.
    """


def check_choice(what: str, value: object, allowed: Any) -> None:
    """Raises `NopalError` for a value that the `Literal` type `allowed` doesn't list."""
    if value not in get_args(allowed):
        raise NopalError(f"The {what} is {value!r}; expected one of {', '.join(map(str, get_args(allowed)))}.")
