"""Who is known: vNICs on ports as they are there, all others as the inventory has them; of several ports the first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.topology.builders import MAC_1, database, vnic
from topology.everybody import Everybody
from topology.inventory import Inventory, InventoryVnic, Network, Vm, differing
from topology.join import Resolver
from topology.ports import Topology, moves

INVENTORY = Inventory((Vm("web", labels={"role": "web"}, vnics=(InventoryVnic("web-0"),)), Vm("db"),))


def zoned(name, iface_id, zone, **more):
    return vnic(name, iface_id, MAC_1, portcullis_zone=str(zone), **more)


def test_of_a_vnic_on_several_ports_the_first_counts():
    everybody, resolver = Everybody(), Resolver()

    def known(**hosts):
        rows = {remote: database(*ports, remote=remote, host=f"host-{remote}") for remote, ports in hosts.items()}
        return everybody.known(INVENTORY, resolver.resolve(rows, INVENTORY))

    assert known()["web-0"].host is None
    assert known(b=[zoned("t", "web-0", 1)])["web-0"].host == "host-b"
    assert known(b=[zoned("t", "web-0", 1)], a=[zoned("t", "web-0", 1)])["web-0"].host == "host-a"
    assert known(b=[zoned("t", "web-0", 1)])["web-0"].host == "host-b"
    # Without its conntrack zone nobody need know of it there.
    assert known(b=[vnic("t", "web-0", MAC_1)])["web-0"].host is None
    assert known(b=[zoned("t", "else", 1)]).keys() == {"web-0", "else"}
    assert known().keys() == {"web-0"}


ports = st.dictionaries(st.sampled_from(("t1", "t2", "t3")), st.sampled_from(("web-0", "x", "y")), max_size=3)


@given(st.lists(st.tuples(ports, ports), min_size=2, max_size=5))
def test_moves_are_what_differs(history):
    resolver, last, held = Resolver(), Topology(), {}
    for on_a, on_b in history:
        rows = {
            remote: database(*(vnic(name, who) for name, who in found.items()), remote=remote)
            for remote, found in (("a", on_a), ("b", on_b))
            if found
        }
        topology = resolver.resolve(rows, INVENTORY)
        for bridge, holder, before, now in moves(last, topology):
            assert held.pop((bridge, holder), None) == before != now
            if now is not None:
                held[bridge, holder] = now
        wanted = {(bridge.key, port.holder): port for bridge in topology.bridges for port in bridge.vnic_ports}
        assert held == wanted
        last = topology


MACHINES = [Vm(f"vm-{number}") for number in range(6)]
inventories = st.builds(
    lambda vms, network: Inventory(tuple(vms), (Network("n", 1),) if network else ()),
    st.lists(st.sampled_from(MACHINES), unique_by=id),
    st.booleans(),
)


@given(inventories, inventories)
def test_what_two_inventories_differ_in(old, new):
    gone, come = differing(old, new)
    if old.networks != new.networks:
        assert (gone, come) == (old.vms, new.vms)
        return
    # Where the order has changed, some may go and come again.
    left = [vm for vm in old.vms if vm not in gone]
    assert all(vm in new.vms for vm in left) and not set(map(id, come)) & set(map(id, left))
    assert {vm.name for vm in (*left, *come)} == {vm.name for vm in new.vms}
