"""What `ovs-ofctl` writes of our flows is read back as the very flows, whatever they are, in any slot."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, settings

from policy.flows.cookies import Kind, cookie
from policy.flows.flow import Conjunction, Flow, Output, OutputBond
from policy.flows.match_wire import decode_match
from policy.flows.openflow import WireError
from policy.flows.tables import TABLES
from policy.flows.wire import Installed, decode_flow_stats
from policy.verify.flow_words import BadLine, stats_entry
from tests.flows.real import Real
from tests.flows.strategies import documents, labels
from tests.flows.worlds import World, document, policy, rule
from topology.ports import OFPORT_LOCAL


@pytest.fixture(scope="module")
def real() -> Iterator[Real]:
    switch = Real()
    yield switch
    switch.stop()


def read(line: str) -> Installed:
    (found,) = decode_flow_stats(stats_entry(line))
    return found


def written(real: Real, name: str) -> list[str]:
    socket = f"unix:{real.ovs.run_dir / name}.mgmt"
    dump = subprocess.run(["ovs-ofctl", "-O", "OpenFlow14", "dump-flows", socket], capture_output=True, text=True)
    assert dump.returncode == 0, dump.stderr
    return [line for line in dump.stdout.splitlines() if " actions=" in line]


def same(real: Real) -> None:
    """Both ways tell the same flows of each bridge; the first lines of which that is not so are told."""
    for name, switch in real.switches.items():
        told = {(entry.table, entry.cookie, entry.flow, entry.leads_to) for entry in switch.dump()}
        lines = written(real, name)
        found = {line: read(line) for line in lines}
        strange = [
            line
            for line, entry in found.items()
            if (entry.table, entry.cookie, entry.flow, entry.leads_to) not in told or entry.flow is None
        ]
        assert strange[:5] == []
        assert len(told) == len(lines) > 100


# A failure needs no smaller example: the lines tell.
@settings(phases=[Phase.explicit, Phase.reuse, Phase.generate])
@pytest.mark.timeout(600)
@given(policy_document=documents(), some_labels=labels)
def test_every_flow_of_any_policy(real, policy_document, some_labels):
    real.install(World(policy_document, some_labels).tables)
    same(real)


@pytest.mark.parametrize("slot", [1, 3])
def test_every_slot(real, slot):
    world = World(document(policy("p", rule("allow", "tcp/80"))))
    real.install(world.tables)
    for name, switch in real.switches.items():
        switch.bundle(world.tables[name].values(), slot=slot)
    same(real)


def test_what_these_worlds_do_not_have(real):
    """Bonds, and conjunctions."""
    mark = cookie(Kind.PIPELINE)
    actions = [OutputBond((1, 2), "hrw"), OutputBond((11,), "active_backup"), Conjunction(0xDEADBEEF, 1, 3)]
    flows = [Flow(TABLES["UPLINK_OUT"], 7 + at, (), (action,), mark) for at, action in enumerate(actions)]
    flows.append(Flow(TABLES["UPLINK_OUT"], 20, (), (Output(OFPORT_LOCAL),), mark))
    real.install(World(document(policy("p", rule("allow", "tcp/80")))).tables)
    switch = real.switches["left"]
    switch.bundle(flows)
    same(real)
    switch.bundle([], flows)


@pytest.mark.parametrize(
    "line",
    [
        "cookie=0x1, table=1, priority=1,ip,tun_id=0x1 actions=drop",
        "cookie=0x1, table=1, priority=1,ip,nw_tos=4 actions=drop",
        "cookie=0x1, table=1, priority=1,ip,nw_src=nobody actions=drop",
        "cookie=0x1, table=1, priority=1,vlan_tci=0x2000/0x2000 actions=drop",
        "cookie=0x1, table=1, priority=1 actions=CONTROLLER:65535",
        "cookie=0x1, table=1, priority=1 actions=resubmit(2,7)",
        "cookie=0x1, table=1, priority=1 actions=controller(meter_id=3,max_len=9)",
        "cookie=0x1, table=1, priority=1 actions=load:0x1->NXM_NX_REG12[0..3]",
        "cookie=0x1, table=1, priority=1 actions=drop,drop",
        "cookie=0x1, table=1, priority=1 actions=write_actions(output:1)",
        "cookie=0x1, table=1, idle_timeout=1, priority=1 actions=drop",
        "cookie=0x1, table=1, send_flow_rem priority=1 actions=drop",
    ],
)
def test_what_is_none_of_ours_is_no_flow_of_ours(line):
    found = read(line)
    assert (found.table, found.cookie, found.priority, found.flow) == (1, 1, 1, None) or not decodes(found.raw_match)


def decodes(raw: bytes) -> bool:
    try:
        decode_match(raw)
    except WireError:
        return False
    return True


@pytest.mark.parametrize(
    "line",
    [
        "",
        " actions=drop",
        "cookie=0x1, table=1, priority=1",
        "cookie=0x1, table=1, priority=1 actions=",
        "cookie=0x1, table=x, priority=1 actions=drop",
        "cookie=0x1, table=1000, priority=1 actions=drop",
        "cookie=0x1, table=1, priority=1, priority=2 actions=drop",
        "table=1, priority=1 actions=drop",
    ],
)
def test_what_is_no_line_of_a_dump(line):
    with pytest.raises(BadLine):
        stats_entry(line)
