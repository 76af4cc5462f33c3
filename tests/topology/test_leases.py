"""How a vNIC comes to addresses and loses them, message by message, with a clock of our own."""


import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.topology.builders import MAC_1, MAC_2
from tests.topology.exchanges import advertisement, arp, client4, client6, probe, server4, server6
from topology.addresses import link_local_of
from topology.frames import Claim
from topology.heard import read_heard
from topology.learned import FIRST_USE, MAX_LEASES, Book, Learned, Source, format_book, parse_book
from topology.leases import MAX_PENDING, PATIENCE, Party, claim, hear

NOW = 1_000_000
NEW = Party(Book(MAC_1))


def heard(party, *frames, now=NOW, taken=()):
    """The vNIC after these frames."""
    for frame in frames:
        party = hear(party, read_heard(frame).message, now, lambda address: str(address) in taken)
    return party


def claimed(book, frame, limit=2, now=NOW, taken=()):
    return claim(book, read_heard(frame), limit, now, lambda address: str(address) in taken)


def has(party):
    book = party.book if isinstance(party, Party) else party
    return {str(entry.address): (entry.source.value, entry.since, entry.until) for entry in book.entries}


ASK, ACK = client4("request"), server4("ack")
ASK_6, REPLY = client6("request"), server6(("2001:db8::50", 3600))


@pytest.mark.parametrize(
    ("ask", "answer", "learned"),
    [
        (ASK, ACK, {"10.0.0.50": ("dhcp4", NOW, NOW + 3600)}),
        (ASK_6, REPLY, {"2001:db8::50": ("dhcp6", NOW, NOW + 3600)}),
        (ASK, server4("ack", lease=0xFFFFFFFF), {"10.0.0.50": ("dhcp4", NOW, None)}),
        (client4("discover"), server4("ack", more=(("rapid_commit", b""),)), {"10.0.0.50": ("dhcp4", NOW, NOW + 3600)}),
        (client6("solicit"), server6(("2001:db8::50", 60), rapid=True), {"2001:db8::50": ("dhcp6", NOW, NOW + 60)}),
        (
            ASK_6,
            server6(("2001:db8::50", 60), ("2001:db8::51", 90)),
            {"2001:db8::50": ("dhcp6", NOW, NOW + 60), "2001:db8::51": ("dhcp6", NOW, NOW + 90)},
        ),
    ],
)
def test_what_was_asked_for_and_granted_is_learned(ask, answer, learned):
    assert has(heard(NEW, ask, answer)) == learned


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (None, ACK),
        (None, REPLY),
        (ASK, server4("ack", xid=8)),
        (ASK, server4("ack", chaddr=MAC_2)),
        (client4("request", chaddr=MAC_2), ACK),
        (client4("request", chaddr=MAC_2), server4("ack", chaddr=MAC_2)),
        (client4("discover"), ACK),
        (ASK_6, server6(("2001:db8::50", 60), trid=8)),
        (ASK_6, server6(("2001:db8::50", 60), duid=MAC_2)),
        (client6("solicit"), REPLY),
        # The families' numbers do not mix.
        (client4("request", xid=9), REPLY),
        (client6("request", trid=7), ACK),
    ],
)
def test_what_is_no_answer_to_its_own_question_is_not(ask, answer):
    assert has(heard(NEW, *([ask] if ask else []), answer)) == {}


def test_an_answer_counts_once_and_not_too_late():
    party = heard(NEW, ASK, ACK, client4("release", ciaddr="10.0.0.50"), ACK)
    assert has(party) == {}
    late = heard(heard(NEW, ASK), ACK, now=NOW + PATIENCE)
    assert has(late) == {}
    assert has(heard(heard(NEW, ASK), ACK, now=NOW + PATIENCE - 1)) != {}


def test_a_discovery_goes_on_as_a_request_with_the_same_number():
    party = heard(NEW, client4("discover"), ASK, ACK)
    assert has(party) == {"10.0.0.50": ("dhcp4", NOW, NOW + 3600)}
    assert party.pending == ()


def test_a_flood_of_questions_leaves_the_newest():
    party = heard(NEW, *(client4("request", xid=number) for number in range(100)))
    assert len(party.pending) == MAX_PENDING
    assert has(heard(party, server4("ack", xid=99))) and not has(heard(party, server4("ack", xid=90)))


def test_a_renewal_makes_it_longer_and_keeps_its_age():
    party = heard(NEW, ASK, ACK)
    later = heard(party, client4("request", ciaddr="10.0.0.50"), ACK, now=NOW + 1800)
    assert has(later) == {"10.0.0.50": ("dhcp4", NOW, NOW + 1800 + 3600)}
    assert later.book.stamp > party.book.stamp
    shorter = heard(later, ASK, server4("ack", lease=60), now=NOW + 1900)
    assert has(shorter) == {"10.0.0.50": ("dhcp4", NOW, NOW + 1960)}


def test_a_client_that_renews_all_the_time_changes_nothing():
    party = heard(NEW, ASK, ACK)
    for second in range(1, 200):
        assert heard(party, ASK, ACK, now=NOW + second).book is party.book


@pytest.mark.parametrize(
    "frame",
    [
        client4("release", ciaddr="10.0.0.50"),
        client4("decline", requested_addr="10.0.0.50"),
    ],
)
def test_what_is_given_back_is_gone(frame):
    assert has(heard(NEW, ASK, ACK, frame)) == {}
    other = client4("release", ciaddr="10.0.0.51")
    assert "10.0.0.50" in has(heard(NEW, ASK, ACK, other))


@pytest.mark.parametrize("kind", ["release", "decline"])
def test_what_is_given_back_of_ipv6_is_gone(kind):
    both = heard(NEW, ASK_6, server6(("2001:db8::50", 60), ("2001:db8::51", 60)))
    assert set(has(heard(both, client6(kind, "2001:db8::50")))) == {"2001:db8::51"}


def test_a_lifetime_of_nothing_takes_an_address_away():
    party = heard(NEW, ASK_6, REPLY)
    renewed = heard(party, client6("renew", "2001:db8::50"), server6(("2001:db8::50", 0), ("2001:db8::51", 60)))
    assert set(has(renewed)) == {"2001:db8::51"}


NAK = server4("nak", yiaddr="0.0.0.0", lease=None)


def test_a_refusal_takes_what_was_named():
    party = heard(NEW, ASK, ACK, client4("request", xid=8), server4("ack", xid=8, yiaddr="10.0.0.51"))
    assert set(has(heard(party, client4("request", requested_addr="10.0.0.51"), NAK))) == {"10.0.0.50"}
    assert has(heard(party, ASK, NAK)) == {}
    assert set(has(heard(party, NAK))) == {"10.0.0.50", "10.0.0.51"}
    assert set(has(heard(party, client4("discover"), NAK))) == {"10.0.0.50", "10.0.0.51"}


def test_a_refusal_leaves_ipv6_alone():
    assert set(has(heard(NEW, ASK_6, REPLY, ASK, NAK))) == {"2001:db8::50"}


def test_a_lease_ends():
    book = heard(NEW, ASK, ACK, ASK_6, server6(("2001:db8::50", 60))).book
    assert book.at(NOW + 59) is book
    assert set(has(book.at(NOW + 60))) == {"10.0.0.50"}
    over = book.at(NOW + 3600)
    assert has(over) == {} and over.stamp > book.stamp


def test_what_somebody_else_has_is_not_learned():
    assert has(heard(NEW, ASK, ACK, taken={"10.0.0.50"})) == {}
    both = server6(("2001:db8::50", 60), ("2001:db8::51", 60))
    assert set(has(heard(NEW, ASK_6, both, taken={"2001:db8::50"}))) == {"2001:db8::51"}


def test_leases_are_bounded_and_the_newest_is_kept():
    party = NEW
    for number in range(20):
        xid = 100 + number
        answer = server4("ack", xid=xid, yiaddr=f"10.0.0.{50 + number}", lease=10_000 - number)
        party = heard(party, client4("request", xid=xid), answer, now=NOW)
        assert f"10.0.0.{50 + number}" in has(party)
    assert len(party.book.entries) == MAX_LEASES


def test_first_use_is_bounded_for_each_family_and_has_no_end():
    book = Book(MAC_1)
    for frame in (arp("10.0.0.50"), arp("10.0.0.51", op=2), probe("2001:db8::50"), advertisement("2001:db8::51")):
        book = claimed(book, frame)
    assert {source for source, _, _ in has(book).values()} == {"arp", "nd"}
    assert {until for _, _, until in has(book).values()} == {None}
    assert claimed(book, arp("10.0.0.52")) is None and claimed(book, probe("2001:db8::52")) is None
    assert claimed(book, arp("10.0.0.50")) is book
    assert book.at(NOW * 1000) is book


def test_claims_that_bring_nothing():
    book = Book(MAC_1)
    assert claimed(book, arp("10.0.0.50"), taken={"10.0.0.50"}) is book
    assert claimed(book, arp("10.0.0.50", mac=MAC_2)) is book
    # The link-local addresses that follow from MACs have their owners.
    for mac in (MAC_1, MAC_2):
        assert claim(book, Claim(MAC_1, link_local_of(mac)), 2, NOW, lambda _: False) is book
    assert set(has(claimed(book, probe("fe80::1234")))) == {"fe80::1234"}


def test_what_was_in_use_becomes_a_lease():
    book = claimed(Book(MAC_1), arp("10.0.0.50"), now=NOW - 5)
    party = heard(Party(book), ASK, ACK)
    assert has(party) == {"10.0.0.50": ("dhcp4", NOW - 5, NOW + 3600)}
    assert claimed(party.book, arp("10.0.0.50")) is party.book
    # Giving a lease back is no word about what is in use without one.
    assert has(heard(Party(book), client4("release", ciaddr="10.0.0.50"))) == has(book)


# --- the text

ENTRIES = st.one_of(
    st.builds(
        Learned,
        st.ip_addresses(v=4, network="10.0.0.0/8"),
        st.sampled_from([Source.DHCP4, Source.ARP]),
        st.integers(0, 10**11),
        st.one_of(st.none(), st.integers(0, 10**11)),
    ),
    st.builds(
        Learned,
        st.ip_addresses(v=6, network="2001:db8::/32"),
        st.sampled_from([Source.DHCP6, Source.ND]),
        st.integers(0, 10**11),
        st.one_of(st.none(), st.integers(0, 10**11)),
    ),
)
BOOKS = st.builds(
    lambda stamp, entries: Book(MAC_1, stamp).with_entries(tuple(entries), 0),
    st.integers(0, 10**11),
    st.lists(ENTRIES, max_size=20, unique_by=lambda entry: entry.address),
)


@given(BOOKS)
def test_a_book_comes_back_from_its_text(book):
    assert parse_book(format_book(book)) == book


GOOD = "52:54:00:00:00:01 5 10.0.0.50,dhcp4,5,3605 2001:db8::50,nd,6,-"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "52:54:00:00:00:01",
        "52:54:00:00:00:01 x",
        "52:54:00:00:00:01 -5",
        "52:54:00:00:00:01 05",
        "52:54:00:00:00:0A 5",
        "01:00:5e:00:00:01 5",
        "52:54:00:00:00:01 5 ",
        "52:54:00:00:00:01  5",
        "52:54:00:00:00:01 5 10.0.0.50",
        "52:54:00:00:00:01 5 10.0.0.50/32,dhcp4,5,6",
        "52:54:00:00:00:01 5 10.0.0.50,dhcp4,5,6,7",
        "52:54:00:00:00:01 5 10.0.0.50,dhcp6,5,6",
        "52:54:00:00:00:01 5 10.0.0.50,guess,5,6",
        "52:54:00:00:00:01 5 10.0.0.50,arp,\u0665,-",
        "52:54:00:00:00:01 5 224.0.0.1,arp,5,-",
        "52:54:00:00:00:01 5 2001:DB8::50,nd,6,-",
        "52:54:00:00:00:01 5 fe80::1%eth0,nd,6,-",
        "52:54:00:00:00:01 5 10.0.0.51,arp,5,- 10.0.0.50,arp,5,-",
        "52:54:00:00:00:01 5 10.0.0.50,arp,5,- 10.0.0.50,arp,5,-",
        f"52:54:00:00:00:01 5{' 10.0.0.50,arp,5,-' * 60}",
        GOOD + " " * 5000,
    ],
)
def test_texts_that_are_none(text):
    with pytest.raises(ValueError):
        parse_book(text)


@given(st.text(max_size=60), st.integers(0, len(GOOD)), st.integers(0, 5))
def test_any_text_is_a_book_in_its_one_spelling_or_a_value_error(text, place, cut):
    for each in (text, GOOD[:place] + text + GOOD[place + cut :]):
        try:
            book = parse_book(each)
        except ValueError:
            continue
        assert format_book(book) == each


# --- whatever happens

FRAMES = [
    *(client4(kind, xid=xid, ciaddr=ciaddr) for kind in ("discover", "request", "release") for xid in (7, 8)
      for ciaddr in ("0.0.0.0", "10.0.0.50")),
    *(server4("ack", yiaddr=f"10.0.0.{last}", xid=xid, lease=lease) for last in (50, 51) for xid in (7, 8)
      for lease in (60, 0xFFFFFFFF)),
    NAK,
    *(client6(kind, "2001:db8::50") for kind in ("solicit", "request", "renew", "release")),
    *(server6((f"2001:db8::{last}", valid)) for last in (50, 51) for valid in (0, 60)),
    *(arp(f"10.0.0.{last}") for last in (50, 52, 53, 54)),
    *(probe(f"2001:db8::{last}") for last in (50, 52, 53, 54)),
]  # fmt: skip
HEARD = [read_heard(frame) for frame in FRAMES]


@given(st.lists(st.tuples(st.sampled_from(HEARD), st.integers(0, 50)), max_size=40))
def test_any_history_keeps_the_bounds(history):
    party, now = NEW, float(NOW)
    for what, seconds in history:
        now += seconds
        before = party.book
        if isinstance(what, Claim):
            party = Party(claim(before, what, 2, now, lambda _: False) or before, party.pending)
        else:
            party = hear(party, what.message, now, lambda _: False)
        party = Party(party.book.at(now), party.pending)
        book = party.book
        assert parse_book(format_book(book)) == book
        assert not any(entry.over(now) for entry in book.entries)
        assert book is before or book.stamp > before.stamp
        for version in (4, 6):
            mine = [entry for entry in book.entries if entry.address.version == version]
            assert sum(entry.source in FIRST_USE for entry in mine) <= 2
            assert len(mine) <= MAX_LEASES + 2
        assert len(party.pending) <= MAX_PENDING
