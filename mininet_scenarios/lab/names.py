"""Names that are ours: short, unique in the machine, and telling which process made them.

A device name has at most 15 characters: `pc`, the process in five, a letter for the kind, a number. A name without a
living process is a leftover.
"""

import itertools
import os
import re
from pathlib import Path

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_numbers = itertools.count(1)

OURS = re.compile(r"^pc([0-9a-z]{5})([a-z])(\d+)(?:-.*)?$")


def mark(pid: int | None = None) -> str:
    """The mark of a process (of this one): `pc` and its number in base 36."""
    number = os.getpid() if pid is None else pid
    digits = ""
    for _ in range(5):
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return "pc" + digits


def fresh(kind: str) -> str:
    """A name that nothing else in the machine has. Kinds: `v`eth, `n`amespace, `b`ridge, `d`irectory."""
    return f"{mark()}{kind}{next(_numbers)}"


def maker_of(name: str) -> int | None:
    """The process that made a name, if it is one of ours."""
    fits = OURS.match(name)
    return int(fits[1], 36) if fits else None


def is_alive(pid: int) -> bool:
    """Whether a process exists."""
    return Path(f"/proc/{pid}").exists()
