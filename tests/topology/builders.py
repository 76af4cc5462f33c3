"""Small databases for the tests of this folder: one line a port."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

from topology.join import resolve
from topology.rows import BridgeRow, Database, InterfaceRow, PortRow, SwitchRow

MAC_1, MAC_2, MAC_3 = (f"52:54:00:00:00:0{n}" for n in (1, 2, 3))


@dataclass
class P:
    """A port with one interface of its name; ``ids`` are external_ids. ``members`` makes it a bond instead."""

    name: str
    ids: dict = field(default_factory=dict)
    tag: int | None = None
    trunks: tuple = ()
    vlan_mode: str | None = None
    type: str = ""
    ofport: int | None = 0  # 0: the next free one
    error: str | None = None
    options: dict = field(default_factory=dict)
    members: tuple = ()
    bond_mode: str | None = None


def vnic(name, iface_id, mac=None, **other):
    """A vNIC's port; keyword arguments in `P`'s fields go there, others are external_ids (``_`` stands for ``-``)."""
    fields = {key: other.pop(key) for key in list(other) if key in P.__dataclass_fields__}
    ids = {"iface-id": iface_id} | {key.replace("_", "-"): value for key, value in other.items()}
    return P(name, ids | ({"attached-mac": mac} if mac else {}), **fields)


def database(*ports, remote="unix:a", host="hv1", bridge="br0", dpid=1, **bridges):
    """A database with ``ports`` on ``bridge`` and those of ``bridges`` (name: list of ports) on others."""
    numbers = itertools.count(1)
    rows, port_rows, interface_rows = {}, {}, {}
    for place, (name, its) in enumerate({bridge: ports, **bridges}.items()):
        uuids = []
        for each in its:
            members = [replace(each, name=m, members=()) if isinstance(m, str) else m for m in each.members] or [each]
            for member in members:
                uuid = f"i-{member.name}"
                ofport = next(numbers) if member.ofport == 0 else member.ofport
                interface_rows[uuid] = InterfaceRow(
                    uuid, member.name, member.type, ofport, member.ids, member.error, member.options
                )
            uuids.append(f"p-{each.name}")
            port_rows[uuids[-1]] = PortRow(
                uuids[-1],
                each.name,
                each.tag,
                each.trunks,
                each.vlan_mode,
                each.bond_mode,
                tuple(f"i-{member.name}" for member in members),
            )
        row_uuid = f"{remote}-b-{name}"
        rows[row_uuid] = BridgeRow(row_uuid, name, dpid + place, "secure", {}, tuple(uuids))
    switch = SwitchRow(f"{remote}-s", hostname=host, bridges=tuple(rows))
    return Database(remote, {switch.uuid: switch}, rows, port_rows, interface_rows)


def join(*databases, inventory, uplinks=(), bridges=("*",), learn=frozenset()):
    return resolve({each.remote: each for each in databases}, inventory, uplinks, bridges, learn)


def ports_of(topology):
    """All ports by name."""
    return {port.name: port for bridge in topology.bridges for port in bridge.ports}
