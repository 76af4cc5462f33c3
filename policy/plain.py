"""Text for people, on a terminal or in a log. What prints it in colours is `policy.commands.output`."""

from __future__ import annotations


def clean(text: str) -> str:
    """Text without control characters, which would speak to the terminal: they are written out."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def counted(number: int, one: str, many: str) -> str:
    """`1 policy`, `2 policies`."""
    return f"{number} {one if number == 1 else many}"
