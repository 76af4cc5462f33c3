"""A bridge as it tells its flows, made of flows: what the switch of the shop in `tests.commands.sample` would say."""

from __future__ import annotations

import struct
from dataclasses import replace

from policy.flows.bridge_book import BridgeBook
from policy.flows.match_wire import encode_match
from policy.flows.slots import FIRST, on_wire
from policy.flows.wire import encode_instructions
from policy.verify.compare import compare
from policy.verify.openflow import Told
from policy.verify.site import Settings, site
from tests.commands.sample import DPID, document, network
from topology.learned import LEASES

SETTINGS = Settings(("eth*",), learn=LEASES)
NOW = 1_790_000_000.0


def entry(flow, slot=FIRST, *, table=None, idle=0, hard=0, flags=0):
    """A flow as an entry of flow statistics."""
    body = encode_match(flow.match) + encode_instructions(flow.actions, slot)
    number = on_wire(flow.table, slot) if table is None else table
    times = (flow.priority, idle, hard, flags)
    return struct.pack("!HBx8xHHHH4xQQQ", 48 + len(body), number, *times, flow.cookie, 7, 700) + body


def known(rows=None, policy=None, settings=SETTINGS):
    return site(policy or document(), [rows or network()], settings, NOW)


KNOWN = known()


def wanted(it=KNOWN, held=None):
    """The bridge, its flows by key, its meters by number."""
    (bridge,) = it.topology.bridges
    made = BridgeBook().wanted(it.compiled, bridge, held or {})
    return bridge, made.flat(), dict(made.meters)


def compared(flows, meters, *more, it=KNOWN, slot=FIRST, metered=True):
    """What comes of a bridge that holds these flows, in a slot, and ``more`` entries."""
    (bridge,) = it.topology.bridges
    entries = [*(entry(flow, slot) for flow in flows), *more]
    return compare(it.compiled, bridge, Told(DPID, tuple(entries), meters, metered))


def differences(*given, **more):
    return [(each.kind, each.what, each.where.split()[0]) for each in compared(*given, **more).differences]


def other_layout(flow):
    return replace(flow, cookie=flow.cookie & ~(0xFF << 40) | 3 << 40)
