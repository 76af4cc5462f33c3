"""A resolver that has seen other rows and other inventories answers as a new one does."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.topology.builders import MAC_1, database, vnic
from tests.topology.test_resolve_anything import INVENTORY, databases
from topology.addresses import parse_prefix
from topology.inventory import Inventory, InventoryVnic, Network, Vm
from topology.join import Resolver, resolve
from topology.rows import COLUMNS, ZONE_KEY, Change, Database, apply_changes
from topology.zones import holders


def updated(old: Database, new: Database) -> Database:
    """The new rows; those that are equal are the old objects, as changes of a database have it."""
    changes = [
        Change(table, uuid, new.row(table, uuid))
        for table, name in zip(COLUMNS, ("switches", "bridges", "ports", "interfaces"), strict=True)
        for uuid in {*getattr(old, name), *getattr(new, name)}
        if old.row(table, uuid) != new.row(table, uuid)
    ]
    return apply_changes(old, changes)


WEB, TRUNK, TWO = INVENTORY.vms
INVENTORIES = (
    INVENTORY,
    Inventory((WEB, replace(TWO, labels={"role": "db"})), INVENTORY.networks),
    Inventory((replace(WEB, id="id-two"), replace(TWO, id=None), Vm("b"))),
    Inventory((TWO, TRUNK), (Network("prod", 2), Network("lab", 1, "lab"))),
    Inventory((WEB, TWO, replace(TRUNK, vnics=TRUNK.vnics[:2])), INVENTORY.networks),
    # The same keys twice, as the loader does not let it.
    Inventory((WEB, replace(TWO, id="id-web", vnics=(InventoryVnic("a", MAC_1),))), INVENTORY.networks),
)
worlds = st.tuples(databases("unix:a"), databases("unix:b"), st.sampled_from(INVENTORIES))


@given(st.lists(worlds, min_size=1, max_size=6), st.data())
def test_any_rows(history, data):
    resolver = Resolver(["e*"])
    known = {remote: Database(remote) for remote in ("unix:a", "unix:b")}
    for one, other, inventory in history:
        for new in data.draw(st.sets(st.sampled_from((0, 1)), min_size=1)):
            database = (one, other)[new]
            known[database.remote] = updated(known[database.remote], database)
        assert resolver.resolve(known, inventory) == resolve(known, inventory, ["e*"])


PROMISED = tuple(
    Vm(name, vnics=(InventoryVnic(name, None, (parse_prefix(address),)),))
    for name, address in (("x", "10.0.0.1"), ("y", "10.0.0.2"), ("z", "10.0.0.0/30"))
)
# Mostly a tap has an iface-id and a MAC of its own, and one of them has an address that another, or a promise, has too.
taps = st.one_of(
    st.none(),
    *[
        st.tuples(
            st.sampled_from((None, None, None, *"wxyz")),
            st.sampled_from((None, None, None, MAC_1)),
            st.sampled_from((None, None, "10.0.0.1", "10.0.0.0/30", "10.0.0.3,10.0.0.2")),
            st.sampled_from((None, "1", "1", "2")),
            st.booleans(),
        )
    ]
    * 4,
)
edits = st.tuples(st.integers(0, 3), taps, st.one_of(st.none(), st.sets(st.integers(0, 2))))


@given(st.lists(taps, min_size=4, max_size=4), st.lists(edits, max_size=12))
def test_those_who_claim_the_same(ports, history):
    resolver, known, inventory = Resolver(), Database("unix:a"), Inventory()
    for number, port, promised in history:
        ports[number] = port
        new = database(*(tap(place, each) for place, each in enumerate(ports) if each is not None))
        known = updated(known, new)
        if promised is not None:
            inventory = Inventory(tuple(PROMISED[place] for place in sorted(promised)))
        found = resolver.resolve({"unix:a": known}, inventory)
        assert found == resolve({"unix:a": known}, inventory)
        zones = holders(known)
        assert all(port.zone == zones.get(port.holder) for port in found.vnic_ports)


def tap(number, port):
    iface_id, mac, addresses, zone, up = port
    more = {"addresses": addresses} if addresses else {}
    own = f"52:54:00:00:01:0{number}"
    made = vnic(f"tap-{number}", iface_id or "wxyz"[number], mac or own, ofport=number + 1 if up else None, **more)
    return replace(made, ids={**made.ids, ZONE_KEY: zone}) if zone else made
