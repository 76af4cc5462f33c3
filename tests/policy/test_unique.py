"""Claims that stand while VMs come and go: two that clash are found, whichever came first, and no others."""

from __future__ import annotations

from ipaddress import ip_network

from hypothesis import given
from hypothesis import strategies as st

from policy.networks import Networks
from policy.problems import Problems
from policy.unique import Standing
from topology.inventory import InventoryVnic, Vm

NETWORKS = Networks({}, Problems())
PREFIXES = ("10.0.0.1", "10.0.0.0/30", "10.0.0.4/30", "10.0.0.6", "2001:db8::1", "2001:db8::/64")

machines = st.builds(
    lambda vm_id, iface_id, mac, addresses: (vm_id, iface_id, mac, tuple(map(ip_network, addresses))),
    st.sampled_from((None, None, "id-1", "id-2")),
    st.integers(1, 5),
    st.sampled_from((None, None, "52:54:00:00:00:01", "52:54:00:00:00:02")),
    st.lists(st.sampled_from(PREFIXES), max_size=2),
)


def clash(one, other):
    (vm, (one_vnic,)), (other_vm, (other_vnic,)) = ((each.id, each.vnics) for each in (one, other))
    return (
        (vm is not None and vm == other_vm)
        or one_vnic.iface_id == other_vnic.iface_id
        or (one_vnic.mac is not None and one_vnic.mac == other_vnic.mac)
        or any(a.version == b.version and a.overlaps(b) for a in one_vnic.addresses for b in other_vnic.addresses)
    )


def alone(vm):
    prefixes = vm.vnics[0].addresses
    return not any(
        a.version == b.version and a.overlaps(b) for n, a in enumerate(prefixes) for b in prefixes[n + 1 :]
    )


@given(st.lists(st.tuples(st.lists(machines, max_size=2), st.integers(0, 5)), max_size=8))
def test_a_clash_is_found_and_nothing_else(history):
    there, standing = {}, Standing((), NETWORKS)
    for number, (some, leaving) in enumerate(history):
        gone = [there.pop(name) for name in list(there)[:leaving]]
        come = [
            Vm(f"vm-{number}-{nth}", id=vm_id, vnics=(InventoryVnic(f"if-{iface_id}", mac, addresses),))
            for nth, (vm_id, iface_id, mac, addresses) in enumerate(some)
        ]
        after = [*there.values(), *come]
        wanted = all(map(alone, come)) and not any(
            clash(one, other) for n, one in enumerate(after) for other in after[n + 1 :]
        )
        assert standing.change(gone, come) == wanted
        if not wanted:
            return
        there |= {vm.name: vm for vm in come}
        assert Standing(there.values(), NETWORKS).change((), ())
