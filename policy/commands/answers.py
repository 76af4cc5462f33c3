"""The answer of `explain` about one connection, for people."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from policy.commands.output import out, say, verdict
from policy.evaluate import BUILTIN_TIER, DEFAULT_TIER, Connection, Decision, Endpoint, SideDecision
from policy.model import ICMP, ICMPV6, PORT_PROTOCOLS
from policy.plain import clean

_PROTOCOLS = {ICMP: "icmp4", ICMPV6: "icmp6", **{number: name for name, number in PORT_PROTOCOLS.items()}}


def show_decision(connection: Connection, decision: Decision) -> None:
    """The verdict, the connection, and what each side says with the rule that says it."""
    console = out()
    say(console, verdict(decision.verdict.value), f"  {connection_text(connection)}")
    table = Table(box=None, show_header=False, padding=(0, 2), pad_edge=True)
    for name, side in (("egress", decision.egress), ("ingress", decision.ingress)):
        table.add_row(name, *(map(_cell, _side_cells(side))))
    console.print(table)


def _cell(cell: str | Text) -> Text:
    return cell if isinstance(cell, Text) else Text(clean(cell), overflow="fold")


def _side_cells(side: SideDecision | None) -> tuple[str | Text, ...]:
    if side is None:
        return Text("-", style="dim"), "", "", "nobody firewalls this side", ""
    return verdict(side.verdict.value), side.vnic.name, f"tier {side.tier}", _rule_text(side), _place_text(side)


def _rule_text(side: SideDecision) -> str:
    if side.tier == DEFAULT_TIER:
        return "no rule allows it"
    if side.tier == BUILTIN_TIER:
        return f"built-in rule {side.rule}"
    tenant = f"{side.tenant}:" if side.tenant is not None else ""
    return f"rule {tenant}{side.policy}/{side.rule}"


def _place_text(side: SideDecision) -> str:
    return f"{side.file}:{side.line}" if side.file is not None else ""


def connection_text(connection: Connection) -> str:
    """`tcp  web-1 10.0.0.11 port 50000 -> db-1 10.0.0.21 port 3306`."""
    source = _end_text(connection.source, connection.source_port)
    destination = _end_text(connection.destination, connection.destination_port)
    return f"{_service_text(connection)}  {source} -> {destination}"


def _service_text(connection: Connection) -> str:
    name = _PROTOCOLS.get(connection.protocol, f"proto/{connection.protocol}")
    if connection.icmp_type is not None:
        return f"{name}/{connection.icmp_type}/{connection.icmp_code}"
    return name


def _end_text(end: Endpoint, port: int | None) -> str:
    parts = [] if end.vnic is None else [end.vnic.vm or end.vnic.name]
    parts.append(str(end.address) if end.address is not None else "(no address)")
    if port is not None:
        parts.append(f"port {port}")
    return " ".join(parts)
