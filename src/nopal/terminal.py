"""What the program says to the person who runs it; of several processes the first alone speaks."""

from __future__ import annotations

from rich.console import Console

console = Console()


def say(text: str) -> None:
    """A line for a person; paths in it are never broken, and bytes of theirs that are no UTF-8 are escaped."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    console.print(text, soft_wrap=True, highlight=False, markup=False)
