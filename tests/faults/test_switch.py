"""The switch dies, stalls, refuses, is meddled with, and is attacked while a port comes up."""

import struct
import time

import pytest

from mininet_scenarios.words import connect, reaches, sniff, still_open
from tests.faults.conftest import LONG
from tests.faults.fresh import left_to_do
from tests.faults.traffic import traffic
from tests.faults.waiting import drifted
from tests.live.shop import FILES, Shop

TIMES = 10 if LONG else 1
STALL = 15.0 if LONG else 2.0


def test_killed_and_started_again(shop: Shop, note):
    link = connect(shop.app, shop.db, "tcp/3306")
    longest = 0.0
    with traffic(shop, push=False) as flows:
        for _ in range(TIMES):
            began = time.monotonic()
            shop.ovs.kill9()
            shop.ovs.start_daemon()
            shop.controller.wait_enforced()
            flows.starts(within=15.0)
            longest = max(longest, time.monotonic() - began)
        measured = flows.finish()
    # What was established goes on: its next packet is judged as the policy says, and tracked from there.
    still_open(link, within=60.0)
    assert left_to_do(shop) == []
    note("ovs-vswitchd killed and started again", measured, TIMES, until_traffic_flows=longest)
    assert measured.leaked == 0
    # It comes up shut, and what is lost is what was sent while it was not there, or empty.
    assert measured.longest_gap <= longest + 1.0


@pytest.mark.long
def test_killed_with_the_controller_down(shop: Shop, note):
    with traffic(shop, push=False) as flows:
        shop.controller.kill9()
        shop.ovs.kill9()
        shop.ovs.start_daemon()
        with sniff(shop.app, {"src_mac": shop.web.mac}) as at_app:
            at_app.sees_nothing(watch=2.0)
        shop.start()
        flows.starts(within=15.0)
        measured = flows.finish()
    assert left_to_do(shop) == []
    note("the same with the controller down for two seconds more", measured)
    assert measured.leaked == 0


@pytest.mark.long
def test_stalled_and_gone_on(shop: Shop, note):
    link = connect(shop.app, shop.db, "tcp/3306")
    with traffic(shop) as flows:
        with shop.ovs.stalled():
            shop.say("policy.yaml", shop.files["policy.yaml"].replace("tcp/443", "tcp/444"))
            time.sleep(STALL)  # the duration is the fault
        began = time.monotonic()
        shop.controller.wait_enforced()
        took = time.monotonic() - began
        flows.starts(within=10.0)
        measured = flows.finish()
    reaches(shop.client, shop.web, "tcp/444")
    shop.change("policy.yaml", "tcp/444", "tcp/443")
    still_open(link, within=30.0)
    assert left_to_do(shop) == []
    note("ovs-vswitchd stalled (SIGSTOP)", measured, 1, stalled=STALL, until_enforced=took)
    assert measured.leaked == 0 and measured.longest_gap < STALL + 2.0


MEDDLING = {
    "all flows deleted": ("del-flows",),
    "a table deleted": ("del-flows", "table=0"),
    "a flow altered": ("mod-flows", "table=0,in_port=9999,actions=drop"),
    "an opener added": ("add-flow", "table=0,priority=65535,cookie=0x1,in_port=9999,actions=NORMAL"),
    "an opener with our own cookie": ("add-flow", "table=0,priority=65535,cookie=0x7063020100000000,actions=NORMAL"),
    "all meters deleted": ("del-meters",),
}


@pytest.mark.parametrize("what", MEDDLING)
def test_somebody_meddles(shop: Shop, note, what: str):
    command, *flow = MEDDLING[what]
    before = drifted(shop.controller.status())
    # Whatever altered our flow in this case must find one: the port that everybody knows.
    if command == "mod-flows":
        flow = [f"table=0,in_port={shop.web.ofport},actions=drop"]
    with traffic(shop) as flows:
        began = time.monotonic()
        shop.ovs.ofctl(command, shop.bridge, *flow)
        shop.controller.told(lambda status: drifted(status) > before and status["enforced"])
        took = time.monotonic() - began
        flows.starts(within=5.0)
        measured = flows.finish()
    assert left_to_do(shop) == []
    assert "ALARM" in shop.controller.log.read_text()
    note(f"{what} behind our back", measured, 1, until_repaired=took)
    assert took < 8.0
    # Nobody who may write flows can be kept from opening for a moment; nothing else leaks.
    opened = what == "an opener with our own cookie"
    assert opened or measured.leaked == 0


def test_altered_meters_are_found(shop: Shop, note):
    (meter, *_) = [line for line in shop.ovs.ofctl("dump-meters", shop.bridge).split() if line.startswith("meter=")]
    before = drifted(shop.controller.status())
    with traffic(shop) as flows:
        began = time.monotonic()
        shop.ovs.ofctl("mod-meter", shop.bridge, f"{meter},pktps,burst,stats,bands=type=drop,rate=7,burst_size=7")
        shop.controller.told(lambda status: drifted(status) > before and status["enforced"])
        took = time.monotonic() - began
        measured = flows.finish()
    assert left_to_do(shop) == []
    note("a meter altered behind our back", measured, 1, until_repaired=took)
    assert (measured.lost, measured.leaked) == (0, 0)


def test_a_switch_that_refuses(shop: Shop, note):
    """A table that is full: the change is refused whole, told, retried, and taken when there is room."""
    tables = tables_of(shop, "8080")
    link = connect(shop.web, shop.app, "tcp/8080")
    one_more = "      - {name: one-more, allow: tcp/9000, from: web, to: app}\n"
    with traffic(shop) as flows:
        for row in tables:
            shop.ovs.vsctl("set", "flow_table", row, "flow_limit=1", "overflow_policy=refuse")
        refusals = shop.controller.status()["bridges"][0]["refusals"]
        shop.say("policy.yaml", FILES["policy.yaml"] + one_more)
        status = shop.controller.told(lambda status: status["bridges"][0]["refusals"] >= refusals + 2)
        assert "TABLE_FULL" in status["bridges"][0]["error"]
        assert {vnic["state"] for vnic in status["vnics"] if vnic.get("zone")} == {"pending"}
        # What was in force stays in force.
        reaches(shop.web, shop.app, "tcp/8080")
        still_open(link)
        flows.runs(0.5)
        for row in tables:
            shop.ovs.vsctl("clear", "flow_table", row, "flow_limit")
        began = time.monotonic()
        shop.controller.wait_enforced()
        took = time.monotonic() - began
        reaches(shop.web, shop.app, "tcp/9000")
        measured = flows.finish()
    shop.say("policy.yaml", FILES["policy.yaml"])
    shop.controller.wait_enforced()
    assert left_to_do(shop) == []
    note("a table is full; then it is not", measured, 1, until_enforced=took)
    assert (measured.lost, measured.leaked) == (0, 0)


def tables_of(shop: Shop, port: str) -> list[str]:
    """The rows in OVSDB of the tables whose flows name a port; those that have none get one."""
    ovs, bridge = shop.ovs, shop.bridge
    lines = [line for line in ovs.ofctl("dump-flows", bridge).splitlines() if f"tp_dst={port}" in line]
    numbers = {int(line.split("table=")[1].split(",")[0]) for line in lines}
    assert numbers
    rows = []
    for number in numbers:
        if str(number) not in known_tables(shop):
            create = ("--", "--id=@t", "create", "Flow_Table", f"name=t{number}")
            ovs.vsctl(*create, "--", "add", "bridge", bridge, "flow_tables", f"{number}=@t")
        rows.append(known_tables(shop)[str(number)])
    return rows


def known_tables(shop: Shop) -> dict[str, str]:
    """The bridge's tables that have a row in OVSDB: number and row."""
    text = shop.ovs.vsctl("get", "bridge", shop.bridge, "flow_tables").strip("{}")
    return dict(pair.split("=") for pair in text.split(", ") if pair)


@pytest.mark.long
def test_attacked_while_a_port_comes_up(shop: Shop, note):
    """Frames are on their way before the port is: under another's name, and under its own to where it may not."""
    late = shop.lab.guest(
        *(shop.ovs, shop.bridge, "late", ["10.0.0.51/24"]), plugged=False, external_ids={"addresses": "10.0.0.51"}
    )
    forged = udp(late.mac, shop.app.mac, "10.0.0.11", shop.app.address(4))
    own = udp(late.mac, shop.db.mac, "10.0.0.51", shop.db.address(4))
    honest = udp(late.mac, shop.web.mac, "10.0.0.51", shop.web.address(4))
    took = 0.0
    with (
        traffic(shop) as flows,
        sniff(shop.app, {"src_mac": late.mac, "dport": 7}) as at_app,
        sniff(shop.db, {"src_mac": late.mac, "dport": 7}) as at_db,
        sniff(shop.client, {"src_mac": late.mac, "dport": 7}) as outside,
    ):
        for _ in range(TIMES):
            sending = [late.begin("frames.send", frame=f.hex(), count=600, rate=400) for f in (forged, own, honest)]
            began = time.monotonic()
            late.replug()
            shop.controller.wait_enforced()
            took = max(took, time.monotonic() - began)
            for future in sending:
                late.answer(future, 10.0)
        for sniffer in (at_app, at_db, outside):
            sniffer.sees_nothing()
        measured = flows.finish()
    reaches(late, shop.web, "tcp/443")
    late.close()
    shop.controller.wait_enforced()
    note("attacked while a port comes up", measured, TIMES, until_enforced=took)
    assert (measured.lost, measured.leaked) == (0, 0)


def udp(src_mac: str, dst_mac: str, src: str, dst: str) -> bytes:
    """A UDP packet to port 7, without payload."""
    mac = bytes.fromhex((dst_mac + src_mac).replace(":", "")) + b"\x08\x00"
    head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, 64, 17, 0) + bytes(map(int, f"{src}.{dst}".split(".")))
    words = sum(struct.unpack("!10H", head))
    words = (words & 0xFFFF) + (words >> 16)
    head = head[:10] + struct.pack("!H", ~(words + (words >> 16)) & 0xFFFF) + head[12:]
    return (mac + head + struct.pack("!HHHH", 7, 7, 8, 0)).ljust(60, b"\0")
