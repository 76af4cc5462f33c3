"""Which VLANs a port carries, after ovs-vswitchd.conf.db(5), table Port, "VLAN Configuration"."""

from __future__ import annotations

from typing import NamedTuple

from topology.inventory import MAX_VLAN
from topology.rows import PortRow


class Problem(NamedTuple):
    """Why a port is shut: a stable code and words for people."""

    code: str
    reason: str


class UplinkVlans(NamedTuple):
    """The three fields of `topology.ports.UplinkPort` of the same names."""

    native_vlan: int | None
    trunks: tuple[int, ...] | None
    tagged_native: bool


def vnic_vlan(port: PortRow, trunk: bool) -> int | Problem:
    """The VLAN of a vNIC's frames without tag: the port's tag, else 0. ``trunk``: the vNIC has sub-ports.

    OVS itself takes a port without tag, trunks and mode for a trunk of all VLANs; a guest gets VLAN 0 only, unless the
    inventory says more.
    """
    mode = port.vlan_mode or "access"
    if mode not in ("access", "trunk", "native-untagged") or (not trunk and mode != "access"):
        told = f"the port's vlan_mode is {mode[:40]}"
    elif not trunk and port.trunks:
        told = f"the port's trunks are {_short(port.trunks)}"
    else:
        # OVS ignores the tag of a port of mode trunk.
        return 0 if mode == "trunk" else _tag(port)
    if trunk:
        return Problem("trunk", f"{told}, but a vNIC with sub-ports sends its own frames without a tag")
    return Problem("trunk", f"{told}: each VLAN needs a sub-port in the inventory, a vNIC with `parent` and `vlan`")


def refused_tag(port: PortRow, tag: int) -> Problem | None:
    """Why a sub-port of this tag is shut: the port lists its VLANs, and that is not one of them."""
    if not port.trunks or tag in port.trunks:
        return None
    return Problem("trunk", f"the inventory gives it VLAN {tag}, but the port's trunks are {_short(port.trunks)}")


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
