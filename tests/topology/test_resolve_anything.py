"""Whatever OVSDB holds: resolve answers, and every interface is in exactly one port."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.topology.builders import MAC_1, MAC_2
from topology.addresses import parse_prefix
from topology.inventory import Inventory, InventoryVnic, Network, Vm
from topology.join import UplinkPort, VnicPort, resolve
from topology.learned import Source
from topology.rows import INTERFACE_KEYS, LEARNED_KEY, ZONE_KEY, BridgeRow, Database, SwitchRow, make_row

SUB_PORTS = (
    InventoryVnic("d-1", None, (), "lab", parent="d", tag=1),
    InventoryVnic("e", MAC_2, (parse_prefix("10.0.0.2"),), "prod", parent="d", tag=3),
)
INVENTORY = Inventory(
    (
        Vm("web", "id-web", "acme", {"role": "web"}, (InventoryVnic("a", MAC_1, (parse_prefix("10.0.0.1"),), "prod"),)),
        Vm("trunk", None, None, {}, (InventoryVnic("d"), *SUB_PORTS)),
        Vm("two", "id-two", None, {}, (InventoryVnic("b", None), InventoryVnic("c", MAC_2))),
    ),
    (Network("prod", 1), Network("lab", 2, "lab")),
)
# Values that mean something, so that cases meet, among values that mean nothing.
TEXTS = st.one_of(
    st.sampled_from(
        [
            *("a", "b", "c", "d", "d", "e"),
            *("id-web", "id-two", "web", "two", MAC_1, MAC_2, "52:54:00:00:00:09", "active", "inactive"),
            *("uplink", "role=db", "role=", "=", ",", "10.0.0.1", "10.0.0.0/24", "::/0", "10.0.0.1/24", "1", "70000"),
            *(f"{mac} 5 10.0.0.1,arp,{since},- 10.0.0.2,dhcp4,3,9" for mac in (MAC_1, MAC_2) for since in (4, 5)),
        ]
    ),
    st.text(max_size=8),
)
KEYS = (*sorted(INTERFACE_KEYS), f"{ZONE_KEY}.1", f"{LEARNED_KEY}.3")
NAMES = st.lists(st.text("abep01-\n\0é", min_size=1, max_size=4), min_size=1, max_size=6, unique=True)


@st.composite
def databases(draw, remote):
    interfaces, ports, bridges = {}, {}, {}
    for number, name in enumerate(draw(NAMES)):
        members = draw(st.integers(1, 2))
        for member in range(members):
            uuid = f"i-{name}-{member}"
            interfaces[uuid] = make_row(
                "Interface",
                uuid,
                {
                    "name": name if members == 1 else f"{name}.{member}",
                    "type": draw(st.sampled_from(["", "internal", "patch", "vxlan", "strange"])),
                    "ofport": draw(st.sampled_from([[], [-1], [70000], *[[10 * number + member + 1]] * 3])),
                    "external_ids": draw(st.dictionaries(st.sampled_from(KEYS), TEXTS)),
                    "error": draw(st.one_of(st.just([]), TEXTS)),
                },
            )
        ports[name] = make_row(
            "Port",
            name,
            {
                "name": name,
                "tag": draw(st.sampled_from([[], [1], [2], [4095]])),
                "trunks": draw(st.lists(st.integers(0, 4095), max_size=2)),
                "vlan_mode": draw(
                    st.sampled_from([[], *([m] for m in ("access", "trunk", "native-tagged", "dot1q-tunnel", "new"))])
                ),
                "interfaces": [f"i-{name}-{member}" for member in range(members)],
            },
        )
    owners = {name: draw(st.integers(0, 1)) for name in ports}
    for bridge in range(2):
        uuid = f"{remote}-{bridge}"
        bridges[uuid] = BridgeRow(
            uuid,
            f"br{bridge}",
            draw(st.sampled_from([None, 1, 2])),
            None,
            {},
            tuple(p for p in ports if owners[p] == bridge),
        )
    return Database(remote, {"s": SwitchRow("s", draw(st.one_of(st.none(), TEXTS)))}, bridges, ports, interfaces)


@given(databases("unix:a"), databases("unix:b"))
def test_it_answers_for_every_interface_once(one, other):
    topology = resolve({"unix:a": one, "unix:b": other}, INVENTORY, ["e*"], learn=frozenset(Source))
    for database in (one, other):
        names = Counter(row.name for row in database.interfaces.values())
        found = Counter()
        for bridge in topology.bridges:
            if bridge.remote == database.remote:
                for port in bridge.ports:
                    if isinstance(port, UplinkPort):
                        found.update(name for name, _ in port.members)
                    elif not port.tag:
                        found[port.name] += 1
                assert [port.name for port in bridge.ports] == sorted(port.name for port in bridge.ports)
        assert found == names
    for port in topology.vnic_ports:
        assert isinstance(port, VnicPort)
        assert port.vnic.mac is not None
        assert 0 < port.ofport < 0xFF00
    for remote in ("unix:a", "unix:b"):
        mine = [port for bridge in topology.bridges if bridge.remote == remote for port in bridge.vnic_ports]
        assert len({port.vnic.id for port in mine}) == len(mine)
    assert all("\n" not in str(finding) for finding in topology.findings)


@given(databases("unix:a"))
def test_the_answer_is_the_same_each_time_and_in_any_order(database):
    shuffled = Database(
        database.remote,
        database.switches,
        *(dict(reversed(list(rows.items()))) for rows in (database.bridges, database.ports, database.interfaces)),
    )
    learn = frozenset(Source)
    assert resolve({"unix:a": database}, INVENTORY, learn=learn) == resolve(
        {"unix:a": shuffled}, INVENTORY, learn=learn
    )
