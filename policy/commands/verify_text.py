"""The answer of `verify`, for people and for programs."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from policy.commands.output import say
from policy.commands.reasons import Reasons
from policy.flows.cookies import LAYOUT
from policy.plain import clean, counted
from policy.verify.compare import FOREIGN, Compared, Difference
from topology.ports import Bridge, VnicPort

# Differences of a bridge that are shown to people; `--json` has all of them.
SHOWN = 50


@dataclass(frozen=True, slots=True)
class VerifiedBridge:
    """A bridge, what came of comparing it, and who explains its cookies."""

    bridge: Bridge
    compared: Compared
    reasons: Reasons

    @property
    def waiting(self) -> tuple[VnicPort, ...]:
        """vNICs that have no conntrack zone yet: they are shut."""
        return tuple(port for port in self.bridge.vnic_ports if not port.ready)

    def vnics(self, difference: Difference) -> list[str]:
        """The vNICs that a difference is about."""
        zones, ports = difference.zones, difference.ports
        named = [port.vnic.name for port in self.bridge.vnic_ports if port.zone in zones or port.ofport in ports]
        told = self.reasons.why(difference.cookie).vnics if difference.cookie is not None else None
        return sorted({*named, *(told or ())})


@dataclass(frozen=True, slots=True)
class Verified:
    """The whole answer. ``others``: bridges that are not firewalled, and were not looked at."""

    revision: str
    bridges: tuple[VerifiedBridge, ...]
    others: tuple[Bridge, ...]

    @property
    def holds(self) -> bool:
        """True if every bridge holds exactly what is wanted."""
        return not any(each.compared.differences for each in self.bridges)


def verified_json(answer: Verified) -> dict[str, object]:
    """As `verify --json` prints it."""
    return {
        "holds": answer.holds,
        "revision": answer.revision,
        "layout": LAYOUT,
        "bridges": [_bridge_json(each) for each in answer.bridges],
        "not_verified": [{"host": bridge.host, "name": bridge.name} for bridge in answer.others],
    }


def _bridge_json(each: VerifiedBridge) -> dict[str, object]:
    bridge, compared = each.bridge, each.compared
    return {
        "name": bridge.name,
        "host": bridge.host,
        "dpid": f"{bridge.dpid:016x}",
        "holds": not compared.differences,
        "slot": compared.holdings.slot,
        "flows": compared.flows,
        "meters": compared.meters,
        "metered": compared.metered,
        "learned": compared.holdings.learned,
        "elsewhere": compared.holdings.elsewhere,
        "vnics": [
            {"vnic": port.vnic.name, "port": port.name, "trusted": port.vnic.trusted}
            for port in bridge.vnic_ports
            if port.ready
        ],
        "shut": [
            *({"port": port.name, "reason": port.reason} for port in bridge.isolated),
            *({"port": port.name, "reason": _WAITS} for port in each.waiting),
        ],
        "differences": [_difference_json(each, difference) for difference in compared.differences],
    }


_WAITS = "it has no conntrack zone yet"


def _difference_json(each: VerifiedBridge, difference: Difference) -> dict[str, object]:
    why = each.reasons.why(difference.cookie) if difference.cookie is not None else None
    entry = why.rule if why is not None else None
    return {
        "kind": difference.kind,
        "what": difference.what,
        "where": difference.where,
        "wanted": difference.wanted,
        "found": difference.found,
        "cookie": f"{difference.cookie:#x}" if difference.cookie is not None else None,
        "why": why.text if why is not None else None,
        "rule": entry.name if entry is not None else None,
        "file": entry.rule.place.file if entry is not None else None,
        "line": entry.rule.place.line if entry is not None else None,
        "vnics": each.vnics(difference),
    }


def show(console: Console, answer: Verified) -> None:
    """Each bridge in a line, and below it every difference with what it is about."""
    for each in answer.bridges:
        _show_bridge(console, each, answer.revision)
    for bridge in answer.others:
        say(console, f"{bridge.name} of {bridge.host}: not verified: it is not firewalled (fail_mode, vNICs: none)")


def _show_bridge(console: Console, each: VerifiedBridge, revision: str) -> None:
    compared = each.compared
    where = f"{each.bridge.name} of {each.bridge.host}: "
    differences = compared.differences
    if differences:
        number = counted(len(differences), "difference", "differences")
        say(console, where, Text(f"{number} from revision {revision}", style="bold red"))
    else:
        held = f": {counted(compared.flows, 'flow', 'flows')}, {counted(compared.meters, 'meter', 'meters')}"
        say(console, where, Text(f"holds exactly revision {revision}", style="bold green"), held)
    for difference in differences[:SHOWN]:
        _show_difference(console, each, difference)
    if len(differences) > SHOWN:
        say(console, f"  … and {len(differences) - SHOWN} more: --json tells all")
    ready = sum(port.ready for port in each.bridge.vnic_ports)
    shut = sum(1 for _ in each.bridge.isolated) + len(each.waiting)
    told = [counted(ready, "vNIC", "vNICs"), f"{counted(shut, 'port', 'ports')} shut"]
    if learned := compared.holdings.learned:
        told.append(f"{counted(learned, 'MAC', 'MACs')} learned")
    if elsewhere := compared.holdings.elsewhere:
        told.append(f"{counted(elsewhere, 'flow', 'flows')} out of reach of any packet")
    if not compared.metered:
        told.append("no meters: nothing is limited or logged")
    say(console, f"  {', '.join(told)}")


def _show_difference(console: Console, each: VerifiedBridge, difference: Difference) -> None:
    say(console, Text(f"  {difference.kind} {difference.what} ", style="bold"), difference.where)
    for word, told in (("wanted", difference.wanted), ("found", difference.found)):
        if told is not None:
            say(console, Text(f"    {word:<7}", style="dim"), clean(told))
    if difference.cookie is not None:
        word = "claims" if difference.kind == FOREIGN else "why"
        say(console, Text(f"    {word:<7}", style="dim"), each.reasons.why(difference.cookie).text)
    if vnics := each.vnics(difference):
        say(console, Text(f"    {'vNIC':<7}", style="dim"), ", ".join(vnics))
