"""Copies of packets that a bridge sends, and frames that it is given to send back."""

from __future__ import annotations

import struct

from ryu.ofproto import ofproto_v1_4 as ofp

from policy.flows import openflow
from policy.flows.action_wire import encode_actions
from policy.flows.learning import ask_actions
from policy.flows.packet_in import decode_packet_in
from policy.flows.telling import answer_actions
from ryu_apps.facts import Answer, Ask, Punted
from ryu_apps.switches.line import Line


def answer(line: Line, effect: Answer, slot: int) -> None:
    """Send a frame back to where a packet came from, tagged as that port demands.

    ``slot`` is that of the tables in force.
    """
    actions = answer_actions(effect.in_port, effect.vnic, effect.uplink, effect.vlan)
    _send(line, encode_actions(actions, slot), effect.frame)


def _send(line: Line, actions: bytes, frame: bytes) -> bool:
    """A switch that does not read is sent none (False): its guests take a rejected packet for a lost one."""
    if line.clogged:
        return False
    head = struct.pack("!IIH6x", openflow.NO_BUFFER, ofp.OFPP_CONTROLLER, len(actions))
    body = head + actions + frame
    header = struct.pack("!BBHI", openflow.VERSION, ofp.OFPT_PACKET_OUT, 8 + len(body), line.xid())
    line.post(header + body)
    return True


def ask(line: Line, effect: Ask, slot: int) -> bool:
    """Send a question to the outside; ``slot`` is that of the tables in force. False: not sent, as above."""
    return _send(line, encode_actions(ask_actions(effect.vlan), slot), effect.frame)


def punted(line: Line, message: bytes) -> Punted:
    """What a packet-in message tells. Raises ``WireError`` for anything that is not one of ours."""
    return Punted(line.dpid, line.session, decode_packet_in(message))
