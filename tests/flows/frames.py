"""Packets of the walker as bytes for a real switch, and the other way round as far as tests need it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from scapy.layers.inet import ICMP as Icmp
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.layers.sctp import SCTP, SCTPChunkInit
from scapy.packet import Packet as Frame
from scapy.packet import Raw

from policy.flows.fields import IPV4_TYPE, IPV6_TYPE
from policy.flows.packet import Packet
from policy.model import ICMP, ICMPV6
from policy.model import SCTP as SCTP_NUMBER
from policy.model import TCP as TCP_NUMBER
from policy.model import UDP as UDP_NUMBER

TAG = b"\x81\x00"
GRE_OR_ALIKE = b"\x00\x00\x08\x00" + bytes(20)


def _mac(value: int) -> str:
    return value.to_bytes(6, "big").hex(":")


def network_layer(packet: Packet) -> Frame:
    """The packet from its IP header on."""
    if packet.eth_type == IPV4_TYPE:
        source, destination = IPv4Address(packet.ipv4_src), IPv4Address(packet.ipv4_dst)
        return IP(src=str(source), dst=str(destination), proto=packet.ip_proto) / _transport(packet)
    assert packet.eth_type == IPV6_TYPE
    source, destination = IPv6Address(packet.ipv6_src), IPv6Address(packet.ipv6_dst)
    return IPv6(src=str(source), dst=str(destination), nh=packet.ip_proto) / _transport(packet)


def _transport(packet: Packet) -> Frame:
    payload = Raw(b"portcullis")
    if packet.ip_proto == TCP_NUMBER:
        # Numbers that fit, for a switch that checks sequences: the opener's from 1000, the answerer's from 5000.
        head = TCP(sport=packet.tcp_src, dport=packet.tcp_dst, flags=packet.tcp_flags, **_sequence(packet))
        return head / Raw(_control_message(packet)) if packet.announces else head
    if packet.ip_proto == UDP_NUMBER:
        return UDP(sport=packet.udp_src, dport=packet.udp_dst) / payload
    if packet.ip_proto == SCTP_NUMBER:
        return SCTP(sport=packet.sctp_src, dport=packet.sctp_dst) / SCTPChunkInit()
    if packet.ip_proto == ICMP and packet.eth_type == IPV4_TYPE:
        inner = network_layer(packet.inner) if packet.inner else payload
        return Icmp(type=packet.icmp_type, code=packet.icmp_code, id=packet.icmp_id) / inner
    if packet.ip_proto == ICMPV6 and packet.eth_type == IPV6_TYPE:
        return _icmpv6(packet)
    return Raw(GRE_OR_ALIKE)


def _control_message(packet: Packet) -> bytes:
    """The FTP control message by which the packet's sender announces where it listens (RFC 959, RFC 2428)."""
    assert packet.announces is not None
    address, port = packet.announces
    asks = packet.tcp_dst == 21
    if packet.eth_type == IPV6_TYPE:
        eprt = f"EPRT |2|{IPv6Address(address)}|{port}|"
        return f"{eprt if asks else f'229 Entering Extended Passive Mode (|||{port}|)'}\r\n".encode()
    numbers = ",".join(map(str, (*address.to_bytes(4, "big"), *port.to_bytes(2, "big"))))
    return f"{f'PORT {numbers}' if asks else f'227 Entering Passive Mode ({numbers}).'}\r\n".encode()


def _sequence(packet: Packet) -> dict[str, int]:
    answers = packet.tcp_flags == 0x12 or (packet.tcp_flags == 0x10 and packet.icmp_id)
    seq, ack = (5000, 1001) if answers else (1000 if packet.tcp_flags == 0x02 else 1001, 5001)
    return {"seq": seq, "ack": 0 if packet.tcp_flags == 0x02 else ack, "window": 8192}


def _icmpv6(packet: Packet) -> Frame:
    if packet.inner:
        return ICMPv6DestUnreach(code=packet.icmpv6_code) / network_layer(packet.inner)
    kind = {128: ICMPv6EchoRequest, 129: ICMPv6EchoReply}[packet.icmpv6_type]
    return kind(id=packet.icmp_id) / Raw(b"portcullis")


def frame(packet: Packet) -> bytes:
    """The packet as bytes."""
    head: Frame = Ether(src=_mac(packet.eth_src), dst=_mac(packet.eth_dst), type=packet.eth_type)
    if packet.vlan_vid:
        head = Ether(src=_mac(packet.eth_src), dst=_mac(packet.eth_dst)) / Dot1Q(vlan=packet.vlan_vid & 0xFFF)
    return bytes(head / network_layer(packet))


def tag_of(data: bytes) -> int:
    """The frame's VLAN as flows see it (0: no tag)."""
    return 0x1000 | int.from_bytes(data[14:16], "big") & 0xFFF if data[12:14] == TAG else 0


def untagged(data: bytes) -> bytes:
    """The frame without its tag."""
    return data[:12] + data[16:] if data[12:14] == TAG else data
