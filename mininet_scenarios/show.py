"""How the demonstration looks: the topology as a tree, the measured matrix as tables, what decided each cell.

Everything goes through one rich console, which leaves colours out where nobody would see them.
"""

import itertools
import string
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from mininet_scenarios.guest import Guest
from mininet_scenarios.matrix import Measured, Result
from policy.evaluate import Decision, SideDecision
from policy.model import Document

WIDTH_WITHOUT_TERMINAL = 100
DEFAULT = "-"
NOBODY = "·"

# What a cell says and in which colour, by what is wanted and what was measured.
CELLS = {
    (True, Measured.THROUGH): ("✓", "bold green"),
    (False, Measured.BLOCKED): ("✗", "red"),
    (True, Measured.BLOCKED): ("✓ BLOCKED", "bold white on red"),
    (True, Measured.LEAKED): ("✓ BLOCKED", "bold white on red"),
    (False, Measured.THROUGH): ("✗ PASSED", "bold white on red"),
    (False, Measured.LEAKED): ("✗ LEAKED", "bold white on red"),
}


def new_console() -> Console:
    """A console for this process's output, whatever that is."""
    console = Console(highlight=False)
    if not console.is_terminal:
        return Console(highlight=False, width=WIDTH_WITHOUT_TERMINAL)
    return console


def topology(status: Mapping[str, Any], order: Sequence[str], outside: Sequence[Guest]) -> Tree:
    """Who is on which port, as the controller has it from OVSDB and the inventory; VMs in the given order."""
    (bridge,) = status["bridges"]
    mode = f"{bridge['flows']} flows, enforcing policy {bridge['in_force']}"
    tree = Tree(Text.assemble((f"switch {bridge['name']}", "bold"), f"  Open vSwitch, userspace datapath; {mode}"))
    vnics = [vnic for vnic in status["vnics"] if vnic["vnic"] is not None]  # None: the bridge's own port
    for vnic in sorted(vnics, key=lambda vnic: order.index(vnic["vm"])):
        labels = ", ".join(f"{name}={value}" for name, value in sorted(vnic["labels"].items()))
        addresses = ", ".join(address.partition("/")[0] for address in vnic["addresses"])
        style = "green" if vnic["state"] == "enforced" else "bold red"
        tree.add(Text.assemble((f"{vnic['vm']:8}", "bold"), f" {addresses:29} ", (vnic["state"], style), f"  {labels}"))
    for uplink in bridge["uplinks"]:
        fabric = tree.add(Text(f"uplink {uplink['port']}, and behind it the world outside:"))
        for guest in outside:
            fabric.add(Text.assemble((f"{guest.name:8}", "bold"), " ", ", ".join(map(str, guest.addresses))))
    return tree


class Legend:
    """A letter for each rule, in the order in which rules are walked."""

    def __init__(self, document: Document) -> None:
        self.rules = [(policy, rule) for policy in document.policies for rule in policy.rules]
        letters = itertools.chain(string.ascii_lowercase, string.ascii_uppercase)
        self._letters = {
            (policy.name, rule.name): letter for (policy, rule), letter in zip(self.rules, letters, strict=False)
        }

    def letter(self, side: SideDecision) -> str:
        """The letter of what decided at one end."""
        if side.policy is None or side.rule is None:
            return DEFAULT
        return self._letters[side.policy, side.rule]

    def letters(self, decision: Decision) -> str:
        """What decided: one letter where both ends agree or only one is firewalled, else the opening end's first."""
        return "".join(dict.fromkeys(self.letter(side) for side in (decision.egress, decision.ingress) if side))

    def table(self) -> Table:
        """The legend itself."""
        table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
        for heading in ("", "tier", "policy/rule", "verdict", "written in"):
            table.add_column(heading)
        for policy, rule in self.rules:
            place = f"{rule.place.file}:{rule.place.line}"
            letter = self._letters[policy.name, rule.name]
            table.add_row(
                Text(letter, "bold"), policy.tier.label, f"{policy.name}/{rule.name}", rule.verdict.value, place
            )
        table.add_row(Text(DEFAULT, "bold"), "default", "no rule applies", "deny", "")
        return table


def matrix(service: str, results: Sequence[Result], guests: Mapping[str, Guest], legend: Legend) -> Table:
    """Every pair of one service: rows open connections, columns are called."""
    cells: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        assert isinstance(result.path.target, Guest)
        cells.setdefault((result.path.source.name, result.path.target.name), []).append(result)
    table = Table(title=service, title_style="bold", title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("", style="bold")
    for name in guests:
        table.add_column(name, header_style="bold")
    for source in guests:
        table.add_row(source, *(_cell(cells.get((source, target), []), legend) for target in guests))
    return table


def _cell(results: Sequence[Result], legend: Legend) -> Text:
    """One pair. It is shown as its worst family; as a rule both are alike."""
    if not results:
        return Text(NOBODY, "dim")
    shown = next((result for result in results if not result.fine), results[0])
    text, style = CELLS[shown.wanted, shown.measured]
    return Text.assemble((text, style), (legend.letters(shown.decision), "cyan" if shown.fine else style))


def counted(results: Sequence[Result]) -> Text:
    """One line on a service: how many connections, and whether all went as the policy says."""
    wrong = [result for result in results if not result.fine]
    through = sum(result.measured is Measured.THROUGH for result in results)
    blocked = len(results) - through
    line = f"  {len(results)} connections: {through} got through, {blocked} were blocked. "
    if not wrong:
        return Text.assemble(line, ("All as the policy wants.", "green"))
    text = Text.assemble(line, (f"{len(wrong)} NOT as the policy wants:", "bold red"))
    for result in wrong:
        text.append(f"\n    {result}")
    return text
