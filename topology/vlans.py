"""Which VLANs a port carries, after ovs-vswitchd.conf.db(5), table Port, "VLAN Configuration"."""

from __future__ import annotations

from typing import NamedTuple

from topology.rows import PortRow

# 802.1Q reserves 4095; OVSDB would accept it.
MAX_VLAN = 4094


class Problem(NamedTuple):
    """Why a port is shut: a stable code and words for people."""

    code: str
    reason: str


class UplinkVlans(NamedTuple):
    """The three fields of `topology.ports.UplinkPort` of the same names."""

    native_vlan: int | None
    trunks: tuple[int, ...] | None
    tagged_native: bool


def vnic_vlan(port: PortRow) -> int | Problem:
    """The one VLAN of a vNIC's port: its tag, else 0.

    OVS itself takes a port without tag, trunks and mode for a trunk of all VLANs; a guest gets VLAN 0 only.
    """
    if port.vlan_mode not in (None, "access"):
        return Problem("trunk", f"trunk vNICs are not supported yet (the port's vlan_mode is {port.vlan_mode})")
    if port.trunks:
        return Problem("trunk", f"trunk vNICs are not supported yet (the port's trunks are {_short(port.trunks)})")
    return _tag(port)


def uplink_vlans(port: PortRow) -> UplinkVlans | Problem:
    """The VLANs of an uplink, in OVS's own reading: no mode means access with a tag, trunk without one."""
    mode = port.vlan_mode or ("trunk" if port.tag is None else "access")
    if mode == "dot1q-tunnel":
        return Problem("dot1q-tunnel", "dot1q-tunnel ports are not supported (the port's vlan_mode says so)")
    if mode == "trunk":
        return UplinkVlans(None, _trunks(port), False)
    native = _tag(port)
    if isinstance(native, Problem):
        return native
    if mode == "access":
        # OVS ignores the trunks of an access port.
        return UplinkVlans(native, (), False)
    if mode not in ("native-tagged", "native-untagged"):
        return Problem("vlan-mode", f"the port's vlan_mode {mode[:40]!r} is not known")
    trunks = _trunks(port)
    if trunks is not None and native:
        # The native VLAN is always carried; VLAN 0 never, since frames without tag belong to the native VLAN.
        trunks = tuple(sorted({*trunks, native} - {0}))
    return UplinkVlans(native, trunks, mode == "native-tagged")


def _tag(port: PortRow) -> int | Problem:
    tag = port.tag or 0
    if not 0 <= tag <= MAX_VLAN:
        return Problem("reserved-vlan", f"the port's tag {tag} is not a VLAN (0 to {MAX_VLAN})")
    return tag


def _trunks(port: PortRow) -> tuple[int, ...] | None:
    return tuple(vlan for vlan in port.trunks if 0 <= vlan <= MAX_VLAN) if port.trunks else None


def _short(vlans: tuple[int, ...]) -> str:
    return ", ".join(map(str, vlans[:5])) + (", …" if len(vlans) > 5 else "")
