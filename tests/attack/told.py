"""What the controller's log says of attacks: whose vNIC, and for which reason. Not of each packet: it has limits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from policy.flows.cookies import Drop
from tests.attack.declare import EVIL, GUESTS, OUT, Attack, Elsewhere, Family

Line = Mapping[str, Any]


class Log:
    """The log file, read on from where it was read last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._lines: list[Line] = []

    def lines(self) -> list[Line]:
        """All lines so far."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                whole = file.read().rpartition(b"\n")[0]
            self._read += len(whole) + 1 if whole else 0
            self._lines += map(json.loads, whole.splitlines())
        return self._lines


def is_told(attack: Attack) -> bool:
    """Whether the log speaks of such an attack: where a flow is what stops it."""
    return attack.by in (EVIL, OUT) and attack.reason not in (Elsewhere.UPLINK, Elsewhere.REASSEMBLY)


def samples(family: Family) -> list[Attack]:
    """One attack of the family for each reason that is told, of a guest's and from outside."""
    return list({(attack.by, attack.reason): attack for attack in reversed(family.attacks) if is_told(attack)}.values())


def tells(lines: Iterable[Line], attack: Attack) -> bool:
    """Whether one of the lines names the attacker and the reason; from outside, who was to get it."""
    return any(_is_about(line, attack) for line in lines)


def _is_about(line: Line, attack: Attack) -> bool:
    outside = attack.by == OUT
    if isinstance(attack.reason, Drop):
        known = line.get("vm") in GUESTS if outside else line.get("vm") == EVIL
        return line["event"] == "drop" and line["reason"] == attack.reason.label and known
    ends = (line.get("vm"), line.get("peer_vm"))
    return line["event"] == "connection" and line["verdict"] == "deny" and (None if outside else EVIL) in ends
