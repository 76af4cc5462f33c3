"""Random histories: whatever happens, in whatever order, nothing raises, nothing is ever installed that does not follow
from what was told (the world checks each bundle), and when all is well again the end is what a fresh engine wants."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from policy.flows.cookies import LAYOUT, Kind, reason
from ryu_apps.facts import BundleDone, BundleRefused, Due, FlowsRead, GraceOver, ReadFailed, RetryWrites
from tests.apps.shops import APP, BAD, DB, ETH, MOVED, NONE, ONE, OTHER, WEB, A, B, a, b
from tests.apps.worlds import World
from tests.examples import examples
from tests.topology.builders import P

POLICIES = (ONE, OTHER, MOVED, NONE, BAD, None)
DATABASES = {
    A: (
        a(),
        a(ETH, WEB, DB),
        a(ETH, replace(WEB, ofport=9), APP),
        a(P("eth0", ofport=7), DB, replace(WEB, tag=10)),
        a(ETH, WEB, replace(DB, ids={**DB.ids, "iface-id": "web"})),
        a(ETH, WEB, br1=[DB]),
        a(ETH, replace(WEB, ids={**WEB.ids, "attached-mac": "52:54:00:00:00:66"}), DB),
    ),
    B: (b(ETH, APP), b(ETH, WEB, APP), b(DB)),
}
DPIDS = (1, 2, 11)


def refusing(kind):
    return lambda bundle: next(
        (("refused", flow) for flow in bundle.add if (why := reason(flow.cookie)) and why.kind is kind), None
    )


REFUSALS = (None, refusing(Kind.VNIC), refusing(Kind.RULE), lambda bundle: ("refused", None))

remotes = st.sampled_from((A, B))
dpids = st.sampled_from(DPIDS)
sessions = st.integers(0, 40)
serials = st.integers(0, 6)
# News of sessions that may be over or have never been.
stray = st.one_of(
    st.builds(BundleDone, dpids, sessions, serials),
    st.builds(BundleRefused, dpids, sessions, serials, st.just("stray")),
    st.builds(ReadFailed, dpids, sessions, st.just("stray")),
    st.builds(Due, dpids, sessions, st.sampled_from(("answer", "retry", "retire", "other")), serials),
    st.builds(FlowsRead, dpids, st.just(0), st.just(()), st.just({}), st.just(0)),
    st.builds(RetryWrites, remotes, st.booleans()),
    st.just(GraceOver()),
)


def tell(world, fact):
    """A stray fact. What it says of a session that lives must not be a lie: switches are trusted to tell the truth."""
    living = {switch.session for switch in world.switches.values()}
    if getattr(fact, "session", None) not in living:
        world.facts.append(fact)


def put(world, remote, number):
    """A server holds something else now; told only if it is reachable."""
    database = DATABASES[remote][number % len(DATABASES[remote])]
    if remote not in world.servers:
        world.snapshot(database)
    elif remote in world.reachable:
        world.update(database)
    else:
        world.servers[remote] = world.with_writes(database)


def lose(world, remote):
    if remote in world.reachable:
        world.lose(remote)


def back(world, remote):
    if remote in world.servers:
        world.snapshot(world.servers[remote])


def connect(world, dpid, keeps):
    world.disconnect(dpid)
    world.connect(dpid, **({} if keeps else {"flows": {}, "older": []}))


def upgrade(world, dpid, layout):
    """Another version has had the bridge meanwhile."""
    world.disconnect(dpid)
    if dpid in world.switches:
        world.switches[dpid].is_left_by(layout)
    world.connect(dpid)


def change(world, dpid, name, value):
    if dpid in world.switches:
        setattr(world.switches[dpid], name, value)


steps = st.one_of(
    st.tuples(st.just(World.policy), st.sampled_from(POLICIES)),
    st.tuples(st.just(put), remotes, st.integers(0, 6)),
    st.tuples(st.just(lose), remotes),
    st.tuples(st.just(back), remotes),
    st.tuples(st.just(connect), dpids, st.booleans()),
    st.tuples(st.just(upgrade), dpids, st.sampled_from((1, LAYOUT - 1, LAYOUT + 1))),
    st.tuples(st.just(World.disconnect), dpids),
    st.tuples(st.just(change), dpids, st.just("silent"), st.booleans()),
    st.tuples(st.just(change), dpids, st.just("refuse"), st.sampled_from(REFUSALS)),
    st.tuples(st.just(setattr), st.just("refuse_writes"), st.sampled_from((None, "no"))),
    st.tuples(st.just(World.pass_time), st.sampled_from((1, 5, 31, 100))),
    st.tuples(st.just(tell), stray),
    st.tuples(st.just(World.run)),
    st.tuples(st.just(World.run)),
)


@given(st.lists(steps, max_size=25), st.booleans())
@examples(40)
def test_any_history_ends_well(history, one_by_one):
    world = World((A, B), one_by_one)
    for happen, *arguments in history:
        happen(world, *arguments)
    world.run()
    # All is well again.
    world.refuse_writes = None
    world.policy(ONE)
    world.snapshot(DATABASES[A][5])
    world.snapshot(DATABASES[B][0])
    for dpid in DPIDS:
        world.disconnect(dpid)
        world.connect(dpid, silent=False, refuse=None)
    world.run()
    world.pass_time(100)
    world.check_settled()
    assert len(world.timers) < 200
    assert all(not switch.older for switch in world.switches.values())
