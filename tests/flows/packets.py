"""Packets for tests: made from a connection, answered, and turned into errors about themselves."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

from policy.evaluate import Connection, Endpoint
from policy.flows.fields import IPV4_TYPE, IPV6_TYPE
from policy.flows.packet import ACK, SYN, Packet
from policy.model import ICMP, ICMPV6, SCTP, TCP, UDP
from topology.addresses import Address
from topology.vnic import Vnic

PORTS = {TCP: "tcp", UDP: "udp", SCTP: "sctp"}
ECHO_REPLY = {8: 0, 128: 129}


def ip(source: Address | str, destination: Address | str, protocol: int, **more: int) -> Packet:
    """An IP packet."""
    first, second = ip_address(str(source)), ip_address(str(destination))
    names = ("ipv4_src", "ipv4_dst") if first.version == 4 else ("ipv6_src", "ipv6_dst")
    kind = IPV4_TYPE if first.version == 4 else IPV6_TYPE
    ends = dict(zip(names, (int(first), int(second)), strict=True))
    return Packet(eth_type=kind, ip_proto=protocol, **ends, **more)


def with_ports(packet: Packet, source: int, destination: int) -> Packet:
    word = PORTS[packet.ip_proto]
    return replace(packet, **{f"{word}_src": source, f"{word}_dst": destination})


def opening(connection: Connection, source_mac: int, destination_mac: int) -> Packet:
    """The first packet of a connection."""
    packet = ip(connection.source.address, connection.destination.address, connection.protocol)
    packet = replace(packet, eth_src=source_mac, eth_dst=destination_mac)
    if connection.protocol in PORTS:
        return with_ports(packet, connection.source_port, connection.destination_port)
    if connection.protocol == ICMP:
        return replace(packet, icmp_type=connection.icmp_type, icmp_code=connection.icmp_code, icmp_id=7)
    if connection.protocol == ICMPV6:
        return replace(packet, icmpv6_type=connection.icmp_type, icmpv6_code=connection.icmp_code, icmp_id=7)
    return packet


def back(packet: Packet) -> Packet:
    """The same packet in the other direction: addresses and ports swapped."""
    pairs = [
        ("eth_src", "eth_dst"), ("ipv4_src", "ipv4_dst"), ("ipv6_src", "ipv6_dst"), ("tcp_src", "tcp_dst"),
        ("udp_src", "udp_dst"), ("sctp_src", "sctp_dst"),
    ]  # fmt: skip
    swapped = {a: getattr(packet, b) for one, other in pairs for a, b in ((one, other), (other, one))}
    return replace(packet, vlan_vid=0, **swapped)


def answer(packet: Packet) -> Packet:
    """What the other side answers to a first packet."""
    reply = back(packet)
    if packet.ip_proto == ICMP and packet.eth_type == IPV4_TYPE:
        return replace(reply, icmp_type=ECHO_REPLY[packet.icmp_type])
    if packet.ip_proto == ICMPV6 and packet.eth_type == IPV6_TYPE:
        return replace(reply, icmpv6_type=ECHO_REPLY[packet.icmpv6_type])
    return replace(reply, tcp_flags=SYN | ACK)


def later(packet: Packet) -> Packet:
    """A later packet in the direction of the first."""
    return replace(packet, tcp_flags=ACK)


def unreachable(packet: Packet) -> Packet:
    """The ICMP error (port unreachable) that the receiver of a packet sends."""
    turned = back(packet)
    error = Packet(
        eth_src=turned.eth_src, eth_dst=turned.eth_dst, eth_type=turned.eth_type, ipv4_src=turned.ipv4_src,
        ipv4_dst=turned.ipv4_dst, ipv6_src=turned.ipv6_src, ipv6_dst=turned.ipv6_dst, inner=replace(packet, vlan_vid=0),
    )  # fmt: skip
    if packet.eth_type == IPV4_TYPE:
        return replace(error, ip_proto=ICMP, icmp_type=3, icmp_code=3)
    return replace(error, ip_proto=ICMPV6, icmpv6_type=1, icmpv6_code=4)


def reversed_connection(connection: Connection) -> Connection:
    """The connection that the other side would open with the same addresses (and ports, swapped)."""
    return replace(
        connection,
        source=connection.destination,
        destination=connection.source,
        source_port=connection.destination_port,
        destination_port=connection.source_port,
    )


def end(vnic: Vnic | None, address: Address | str) -> Endpoint:
    return Endpoint(vnic, ip_address(str(address)))
