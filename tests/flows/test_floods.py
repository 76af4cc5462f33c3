"""Packets for many: how many kinds of them there may be, and what becomes of those that are too many."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from policy.flows.compile import PolicyBook
from policy.flows.floods import too_many_copies
from policy.flows.identity_book import MAX_COPIED, identify
from policy.load import load_texts
from policy.model import UDP
from tests.flows.packets import ip, with_ports
from tests.flows.worlds import World, cidrs, document, mac_of, policy, rule, vnic, who
from topology.shared_map import shared
from topology.vnic import Vnic

NAMES = cidrs("224.0.0.251", name="names")
POLICY = document(policy("p", rule("allow", "udp/5353", (who("has(role)"),), (NAMES,)), rule("allow", "udp/9")))
GROUP_MAC = 0x01005E0000FB


def arrive(world: World, destination: str, port: int, mac: int = GROUP_MAC) -> set[str]:
    """Who gets what web-1 sends."""
    packet = with_ports(ip("10.0.0.1", destination, UDP, eth_src=mac_of("web-1"), eth_dst=mac), port, port)
    return {arrival.at for arrival in world.send("web-1", packet)[0]}


def bulk(machines: int, groups: int, scope: str = "default") -> bytes:
    lines = ["version: 1", f"networks: {{net: {{vlan: 7, scope: {scope}}}}}", "vms:"]
    lines += [f"  vm{n}: {{network: net, labels: {{kind: k{n}}}}}" for n in range(machines)]
    lines += ["groups:"]
    lines += [f"  many{n}: {{cidrs: 239.0.{n >> 8}.{n & 255}}}" for n in range(groups)]
    lines += ["policies:", "  - name: p", "    rules:"]
    lines += [f"      - {{allow: any, from: {{match: kind == k{n}}}}}" for n in range(machines)]
    lines += [f"      - {{allow: any, to: many{n}}}" for n in range(groups)]
    return "\n".join(lines).encode()


@pytest.mark.parametrize("scope", ["default", "lab"])
def test_more_combinations_than_can_be_are_a_refused_policy(scope):
    with patch("policy.flows.identity_book.MAX_COPIED", 200), patch("policy.flows.floods.MAX_COPIED", 200):
        assert too_many_copies(load_texts({"p.yaml": bulk(20, 9, scope)})) is None
        problem = too_many_copies(load_texts({"p.yaml": bulk(20, 10, scope)}))
    assert problem is not None
    assert f"scope {scope!r}, are more than 200 combinations" in problem.message
    assert problem.place.file == "p.yaml" and problem.place.line > 20


def test_what_only_looks_like_too_much_is_none():
    """VMs of one kind are not told apart, nor are prefixes that change nothing."""
    text = bulk(20, 10).replace(b"kind: k", b"other: k")
    with patch("policy.flows.identity_book.MAX_COPIED", 200), patch("policy.flows.floods.MAX_COPIED", 200):
        assert too_many_copies(load_texts({"p.yaml": text})) is None


def test_identities_stay_few_whatever_rules_and_vnics_say():
    names = [rule("allow", "any", None, (cidrs(f"239.0.{n >> 8}.{n & 255}"),)) for n in range(500)]
    kinds = [rule("allow", "any", (who(f"kind == k{n}"),)) for n in range(400)]
    vnics = [Vnic(f"v{n}", labels={"kind": f"k{n}"}, mac="52:54:00:00:00:01") for n in range(400)]
    text = document(policy("p", *names, *kinds))
    assert 400 * 501 > MAX_COPIED >= 100 * 501
    identities = identify(text, vnics)
    assert identities.crowded == {"default"}
    assert len(identities.members) == 901
    few = identify(text, vnics[:100])
    assert (few.crowded, len(few.members)) == (frozenset(), 101 * 501)


def test_what_is_too_much_is_copied_to_nobody_and_the_rest_to_all_as_ever():
    world = World(POLICY)
    everybody = arrive(world, "224.0.0.1", 9)
    assert {"web-2", "web-3", "db-1", "outside"} <= everybody
    assert arrive(world, "224.0.0.251", 9) == everybody
    assert arrive(world, "224.0.0.251", 5353) == everybody
    with patch("policy.flows.identity_book.MAX_COPIED", 1):
        world = World(POLICY)
    assert world.compiled.identities.crowded == {"default", "lab"}
    # No rule can be told apart by it any more, so nobody here gets it; who is not firewalled, or elsewhere, does.
    assert arrive(world, "224.0.0.251", 9) == arrive(world, "224.0.0.251", 5353) == {"outside", "router"}
    assert arrive(world, "224.0.0.1", 9) == everybody
    assert arrive(world, "10.0.0.2", 9, mac_of("web-2")) == {"web-2"}


def test_what_was_too_much_is_copied_again_once_it_is_not():
    text = document(*POLICY.policies, policy("q", *(rule("deny", "tcp/1", (who(f"kind == k{n}"),)) for n in range(9))))
    usual = {each.id: each for each in World(POLICY).vnics()}
    more = usual | {f"x{n}": vnic(f"x{n}", 50 + n, [f"10.0.7.{n}"], kind=f"k{n}") for n in range(9)}
    book = PolicyBook()
    with patch("policy.flows.identity_book.MAX_COPIED", 8):
        seen = [book.prepare(text, shared(each)).identities for each in (usual, more, usual)]
    assert [each.crowded for each in seen] == [frozenset(), {"default"}, frozenset()]
    assert dict(seen[2].flooded) == dict(seen[0].flooded) != dict(seen[1].flooded)
    assert dict(seen[2].numbers) == dict(seen[0].numbers)
