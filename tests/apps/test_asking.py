"""The question to the outside who has an address, as scapy reads it."""

from ipaddress import ip_address

from scapy.layers.inet6 import ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from policy.flows.learning import asker_mac
from ryu_apps.asking import question
from topology.frames import read_frame

MAC = asker_mac(0x1234_52540012ABCD)


def test_an_arp_probe():
    frame = question(MAC, ip_address("10.0.0.50"))
    seen = Ether(frame)
    assert (seen.src, seen.dst) == ("06:70:63:12:ab:cd", "ff:ff:ff:ff:ff:ff")
    asked = seen[ARP]
    assert (asked.op, asked.hwsrc, asked.psrc, asked.pdst) == (1, seen.src, "0.0.0.0", "10.0.0.50")
    assert (asked.hwtype, asked.ptype, asked.hwlen, asked.plen) == (1, 0x0800, 6, 4)
    # It claims nothing.
    assert read_frame(frame) is None


def test_a_neighbour_solicitation():
    frame = question(MAC, ip_address("2001:db8::12:3456"))
    seen = Ether(frame)
    assert (seen.src, seen.dst) == ("06:70:63:12:ab:cd", "33:33:ff:12:34:56")
    assert (seen[IPv6].dst, seen[IPv6].hlim) == ("ff02::1:ff12:3456", 255)
    assert seen[IPv6].src == "fe80::470:63ff:fe12:abcd"
    assert seen[ICMPv6ND_NS].tgt == "2001:db8::12:3456"
    assert seen[ICMPv6NDOptSrcLLAddr].lladdr == seen.src
    right = seen[ICMPv6ND_NS].cksum
    del seen[ICMPv6ND_NS].cksum
    assert Ether(bytes(seen))[ICMPv6ND_NS].cksum == right
    assert bytes(Ether(bytes(seen))) == frame
    assert read_frame(frame) is None
