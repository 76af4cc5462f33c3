"""Random histories of guests that ask, claim and move, of databases that come and go, of time and restarts.

Every kept answer is held against a fresh one on the way (`tests.apps.test_incremental`), each bundle against what
follows from what was told (`tests.apps.worlds`).
"""

from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.facts import LeaseDue
from tests.apps.learning_room import BOTH, DB, GUEST, POLICY, START, WEB, restarted, tell
from tests.apps.shops import ETH, A, B, a, b
from tests.apps.test_histories import back, lose
from tests.apps.test_incremental import everything_checked
from tests.apps.worlds import World
from tests.examples import examples
from tests.topology.builders import MAC_1, MAC_2, vnic
from tests.topology.exchanges import arp, client4, client6, probe, server4, server6

MOVED = vnic("tap7", "web", MAC_1)
DATABASES = {
    A: (a(ETH, WEB, DB, GUEST), a(ETH, DB, GUEST), a(ETH, vnic("tap-web", "web", "52:54:00:00:00:77"), DB, GUEST),
        a(ETH, vnic("tap-web", "web", MAC_1, addresses="10.0.0.53"), DB, GUEST)),
    B: (b(ETH), b(ETH, MOVED)),
}  # fmt: skip


def frames(mac):
    """What a guest may say and hear; both guests are after the same few addresses."""
    for address in ("10.0.0.50", "10.0.0.51", "10.0.0.13"):
        for lease in (20, 3600):
            yield client4("request", mac=mac), server4("ack", mac=mac, yiaddr=address, lease=lease)
        yield (client4("release", mac=mac, ciaddr=address),)
        yield client4("request", mac=mac, ciaddr=address), server4("nak", mac=mac, yiaddr="0.0.0.0", lease=None)
        yield (arp(address, mac=mac),)
    for valid in (0, 60):
        yield client6("renew", mac=mac), server6(("2001:db8::50", valid), mac=mac)
    yield (probe("2001:db8::50", mac=mac),)


FRAMES = {MAC_1: list(frames(MAC_1)), MAC_2: list(frames(MAC_2))}
PORTS = {"tap-web": (1, MAC_1), "tap-guest": (1, MAC_2), "tap7": (11, MAC_1)}


def say(world, name, number):
    """A guest says something, if it is there and its switch is connected."""
    dpid, mac = PORTS[name]
    there = [each for each in world.status()["vnics"] if each["port"] == name and each["vnic"] is not None]
    if there and there[0]["state"] != "isolated" and there[0]["zone"] is not None:
        tell(world, *FRAMES[mac][number % len(FRAMES[mac])], of=name, dpid=dpid)


def put(world, remote, number):
    database = DATABASES[remote][number % len(DATABASES[remote])]
    if remote in world.reachable:
        world.update(database)
    else:
        world.servers[remote] = world.with_writes(database)


def lost_answers(world, really):
    if really:
        world._write = lambda *_: None
    else:
        world.__dict__.pop("_write", None)


def both_say(world, number, other):
    """Two guests in one batch."""
    run, world.run = world.run, lambda: world
    say(world, "tap-web", number)
    say(world, "tap-guest", other)
    world.run = run
    world.run()


def stray(world, at):
    world.facts.append(LeaseDue(at))


remotes = st.sampled_from((A, B))
said = st.tuples(st.just(say), st.sampled_from(sorted(PORTS, reverse=True)), st.integers(0, 17))
steps = st.one_of(
    said,
    said,
    said,
    st.tuples(st.just(both_say), st.integers(0, 17), st.integers(0, 17)),
    st.tuples(st.just(put), remotes, st.integers(0, 3)),
    st.tuples(st.just(lose), remotes),
    st.tuples(st.just(back), remotes),
    st.tuples(st.just(World.pass_time), st.sampled_from((1, 7, 31, 61))),
    st.tuples(st.just(setattr), st.just("refuse_writes"), st.sampled_from((None, "no"))),
    st.tuples(st.just(lost_answers), st.booleans()),
    st.tuples(st.just(stray), st.floats(0, 10**7)),
    st.tuples(st.just("restart"), st.sampled_from((0, 100))),
)


@given(st.lists(steps, max_size=20), st.booleans())
@examples(30)
def test_any_history_of_learning_ends_well(history, one_by_one):
    with everything_checked(False, 10**5):
        world = World((A, B), one_by_one, learning=BOTH)
        world.now = START
        world.policy(POLICY)
        for remote, dpid in ((A, 1), (B, 11)):
            world.snapshot(DATABASES[remote][0])
            world.connect(dpid)
        world.run()
        for happen, *arguments in history:
            if happen == "restart":
                world = restarted(world, *arguments)
            else:
                happen(world, *arguments)
                world.run()
            check(world)
        world.refuse_writes = None
        lost_answers(world, False)
        for remote in (A, B):
            back(world, remote)
        world.run()
        world.pass_time(100)
        world.check_settled()
        check(world)


def check(world):
    """Nobody has what another has; nothing is over."""
    vnics = {port.vnic.id: port.vnic for port in world.engine.topology.vnic_ports}
    owned = [str(address) for vnic in vnics.values() for address in vnic.addresses]
    assert len(set(owned)) == len(owned)
    for each in world.status()["vnics"]:
        for entry in each.get("learned", ()):
            assert entry["until"] is None or entry["until"] > world.now
            assert entry["address"] not in ("10.0.0.13", "10.0.0.53")
