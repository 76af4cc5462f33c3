"""The page of attacks, docs/attacks.md, made from the declarations: ``python -m tests.attack.page --write``."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.attack.declare import Family, reason_label
from tests.attack.families import FAMILIES

PAGE = Path(__file__).parents[2] / "docs" / "attacks.md"
HEAD = """\
# Attacks

What `make attack` tries against the live firewall, on a real Open vSwitch and with real frames, while two neighbours talk.
Each of these must be stopped: nothing of it may arrive at any guest or outside, the firewall must count it under the
reason named, the neighbours' stream must lose nothing, their connection must stay open, and the controller must be as it
was. The honest variants at the end of each family must arrive, so that the silence is not that of a dead network.

Made from `tests/attack` by `python -m tests.attack.page --write`; a test fails when it is stale.
"""


def text() -> str:
    """The whole page."""
    return HEAD + "".join(map(_family, FAMILIES))


def _family(family: Family) -> str:
    rows = "".join(f"| {one.name} | {one.wants} | {reason_label(one.reason)} |\n" for one in family.attacks)
    honest = ", ".join(one.name for one in family.honest)
    table = f"| attack | what it is for | counted as |\n|---|---|---|\n{rows}"
    limits = "".join(f"- *{one.name}*: {one.wants} {one.why}\n" for one in family.limits)
    known = f"\nKnown to get past, and tested to:\n\n{limits}" if limits else ""
    return f"\n## {family.name}\n\n{family.about[:1].upper()}{family.about[1:]}.\n\n{table}\nHonest: {honest}.\n{known}"


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    PAGE.write_text(text())
