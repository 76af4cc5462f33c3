"""`docs/attacks.md`, from the declarations and from what became of each attack when it was tried.

python -m tests.attack.page RESULTS    writes the page, with the results of a run (`--attack-results`)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.attack import results
from tests.attack.declare import reason_label
from tests.attack.families import FAMILIES
from tests.attack.tools import TOOLS

PAGE = Path(__file__).parents[2] / "docs" / "attacks.md"
TOOLS_FAMILY = "tools"
NOT_TRIED = "not tried"
HEAD = """\
# Attacks tried

Written by `make attack`, which tries all of this on a live switch with the firewall in force; the declarations are in
`tests/attack/`. The attacker is a guest that may open any connection to the victim, so what does not arrive there has
been stopped by the firewall's guards and not for want of a rule. During every attack a neighbour streams 200 packets
a second and loses none, another of its connections stays open, and the controller's status stays as it was. For each
reason that ends something of a family the controller's log names the attacker; where it came from outside, who was to
get it.

*Counted as* is the reason whose counter grows: a [named drop](pipeline.md#reference-named-drops); *policy*, where no
rule allows it; *reassembly*, where conntrack keeps fragments that never become whole; or *uplinks only*, where a frame
that is for nobody here goes out like from any switch and no guest gets it.
"""

Rows = list[tuple[str, str, str]]


def sections() -> Iterator[tuple[str, str, Rows, Rows, Rows]]:
    """Each family's name and subject; its attacks (name, what for, reason), limits and losses (name, what for, why)."""
    for family in FAMILIES:
        attacks = [(attack.name, attack.wants, reason_label(attack.reason)) for attack in family.attacks]
        limits = [(limit.name, limit.wants, limit.why) for limit in family.limits]
        losses = [(loss.name, "Be delivered.", loss.why) for loss in family.losses]
        yield family.name, family.about, attacks, limits, losses
    tools = [(f"`{' '.join(tool.command)}`", tool.wants, reason_label(tool.reason)) for tool in TOOLS]
    yield TOOLS_FAMILY, "the attackers' own tools", tools, [], []


def rendered(became: Mapping[str, Mapping[str, str]]) -> str:
    """The page, with what became of each attack."""
    return "\n".join([HEAD, *_lines(became)])


def results_on(page: str) -> dict[str, dict[str, str]]:
    """What the page says became of each attack."""
    found: dict[str, dict[str, str]] = {}
    family = ""
    for line in page.splitlines():
        if line.startswith("## "):
            family = line[3:]
        elif line.startswith("| ") and not line.startswith(("| attack", "| ---")):
            name, _, _, result = line.strip("| ").split(" | ")
            found.setdefault(family, {})[name] = result
    return found


def _lines(became: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    for name, about, attacks, limits, losses in sections():
        yield from (f"## {name}", "", f"{about[0].upper()}{about[1:]}.", "")
        yield from _table("counted as", attacks, became.get(name, {}))
        if limits:
            yield from ("What gets past, and is known to:", "")
            yield from _table("why", limits, became.get(name, {}))
        if losses:
            yield from ("Honest, yet stopped, and known to be:", "")
            yield from _table("why", losses, became.get(name, {}))


def _table(third: str, rows: Rows, became: Mapping[str, str]) -> Iterator[str]:
    yield f"| attack | what for | {third} | result |"
    yield "| --- | --- | --- | --- |"
    for name, wants, last in rows:
        yield f"| {name} | {wants} | {last} | {became.get(name, NOT_TRIED)} |"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(rendered(results.read(Path(sys.argv[1]))))
