"""Addresses that vNICs learn: from copied frames to `topology.learned`'s books, which are kept in OVSDB.

    Punted --> hear --+                    +--> the engine's rows, at once
    time ---> due ----+--> books, texts ---+
    rows --> follow --+                    +--> WriteLearned --> OVSDB --> the same rows again

OVSDB is the truth: what counts is what the engine's rows say (`topology.join`). A text that is on its way there counts
already (`ryu_apps.learned_texts`), so that a guest's first packet after its lease is not lost. After a restart the
books are read from the rows. While the process lives it also remembers the books of vNICs that are on no port, so that
a VM which comes back, or goes to another hypervisor, takes its addresses along.

Pure: time is told, and texts come out. A vNIC is known here by its iface-id and its MAC: with another MAC it is
another, which has learned nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from ryu_apps.facts import Later, LeaseDue, Punted
from ryu_apps.learned_texts import Place, Texts
from topology.addresses import Address
from topology.claims import quote, shown
from topology.dhcp import FromClient
from topology.frames import BROADCAST_MAC, Claim
from topology.heard import Heard, read_heard
from topology.learned import FIRST_USE, LEASES, MAX_FIRST_USE, Book, Learned, Source, format_book, parse_book, stated
from topology.leases import Party, claim, hear
from topology.ports import Bridge, Finding, Topology, VnicPort
from topology.rows import LEARNED_KEY, Database
from topology.vnic import Vnic

# What `--learn` may say, and what it means.
WORDS: Mapping[str, frozenset[Source]] = {"dhcp": LEASES, "first-use": FIRST_USE, "none": frozenset()}

# The longest that the learner sleeps although a lease ends later: clocks may be set.
LONGEST_SLEEP = 3600.0
# vNICs on no port whose books are remembered.
MAX_ABSENT = 10_000
# Findings of one vNIC, and the seconds for which one is told that does not come again.
MAX_NOTICES, NOTICE_SECONDS = 4, 3600.0

# A vNIC: its iface-id and MAC.
Who = tuple[str, str]


def sources_of(words: Collection[str]) -> frozenset[Source]:
    """From where addresses are learned. Raises ``ValueError`` for unknown words, and for ``none`` beside others."""
    unknown = sorted(set(words) - WORDS.keys())
    if unknown:
        raise ValueError(f"{quote(unknown[0])} is not one of {', '.join(WORDS)}")
    if "none" in words and len(set(words)) > 1:
        raise ValueError("none stands alone")
    return frozenset[Source]().union(*(WORDS[word] for word in words))


@dataclass(frozen=True, slots=True)
class LearnSettings:
    """``learn``: some of `WORDS`; ``first_use``: how many addresses of each family a vNIC may have by first use.

    Raises ``ValueError`` for what `sources_of` does not take, and for a number that is not 1 to `MAX_FIRST_USE`.
    """

    learn: tuple[str, ...] = ("dhcp",)
    first_use: int = 2

    def __post_init__(self) -> None:
        sources_of(self.learn)
        if not 1 <= self.first_use <= MAX_FIRST_USE:
            raise ValueError(f"{self.first_use} is not a number from 1 to {MAX_FIRST_USE}")


class Learner:
    """All that is known of learned addresses beside the rows. ``now`` None: the time has not been told yet."""

    def __init__(self, settings: LearnSettings) -> None:
        self.now: float | None = None
        self._sources = sources_of(settings.learn)
        self._limit = settings.first_use
        self._parties: dict[Who, Party] = {}
        # The interfaces of each vNIC that may learn, and those of them that had a text when last looked at.
        self._places: dict[Who, list[Place]] = {}
        self._written: dict[Place, Who] = {}
        self._seen: dict[tuple[str, str], tuple[Bridge, list[tuple[Who, Place, str]]]] = {}
        self._notices: dict[Who, dict[Address | None, tuple[float, Finding]]] = {}
        # When we are to be woken, and whether that might have to be earlier by now.
        self._wake_at: float | None = None
        self._restless = False

    # --- what the engine asks

    @property
    def sources(self) -> frozenset[Source]:
        """From where learned addresses count. While the time is not known, no lease does, as it might be over."""
        return self._sources if self.now is not None else frozenset()

    def learned(self, vnic: Vnic) -> tuple[Learned, ...]:
        """What the vNIC has learned, of the addresses that it may use."""
        party = self._parties.get((vnic.id, vnic.mac or "")) if vnic.learned else None
        return tuple(entry for entry in party.book.entries if vnic.owns(entry.address)) if party is not None else ()

    def findings(self) -> tuple[Finding, ...]:
        """What was not learned, and why."""
        now = self.now or 0.0
        return tuple(
            finding
            for who, notices in self._notices.items()
            if who in self._places
            for when, finding in notices.values()
            if now - when < NOTICE_SECONDS
        )

    # --- what happens

    def clock(self, now: float) -> Texts:
        """It is this time now (Unix seconds). It may go backwards, if somebody sets the clock."""
        self.now = now
        return self._due() if self._wake_at is not None and now >= self._wake_at else {}

    def due(self, at: float) -> Texts:
        """A `LeaseDue` has come."""
        return self._due() if at == self._wake_at else {}

    def hear(self, punted: Punted, bridge: Bridge, everybody: Callable[[], Iterable[Vnic]]) -> Texts:
        """A copied frame: what a vNIC of the bridge says, or is told, about its addresses.

        ``everybody`` are all vNICs, those of the inventory that are on no port included.
        """
        if self.now is None or not self._sources:
            return {}
        heard = read_heard(punted.copy.frame)
        if heard is None:
            return {}
        if isinstance(heard, Claim):
            sender = _port(bridge, punted.copy.src_vnic) if self._sources & FIRST_USE else None
            return self._claimed(sender, bridge, heard, everybody) if sender is not None else {}
        from_client = isinstance(heard.message, FromClient)
        port = _port(bridge, punted.copy.src_vnic if from_client else punted.copy.dst_vnic)
        if port is None or not self._sources & LEASES or not _is_its_own(heard, from_client, port.vnic):
            return {}
        who = _who(port.vnic)
        party = self._party(who)
        after = hear(party, heard.message, self.now, lambda each: self._taken(port, bridge, each, everybody))
        return self._keep(who, after)

    def follow(self, topology: Topology, databases: Mapping[str, Database]) -> Texts:
        """The rows, or what they mean, have changed: which vNICs are where, and what their rows say."""
        if self.now is None or not self._sources:
            return {}
        rows: dict[Who, list[tuple[Place, str | None, str]]] = {}
        for who, place, where in self._learning(topology):
            text = databases[place[0]].interfaces[place[1]].external_ids.get(LEARNED_KEY)
            rows.setdefault(who, []).append((place, text, where))
        self._places = {who: [place for place, _, _ in found] for who, found in rows.items()}
        texts: Texts = {}
        written: dict[Place, Who] = {}
        for who, found in rows.items():
            if who not in self._parties and not any(text is not None for _, text, _ in found):
                continue
            party = self._party(who)
            book = self._newest(who, party.book, found)
            if book is not party.book:
                self._parties[who], self._restless = replace(party, book=book), True
            if not book.stamp:
                continue
            text = format_book(book)
            texts.update((place, text) for place, old, _ in found if old != text)
            written.update((place, who) for place, _, _ in found)
        self._written = written
        self._forget_absent()
        return texts

    # --- time

    def wake(self) -> list[Later]:
        """When to be woken, if that has changed."""
        if not self._restless or self.now is None:
            return []
        self._restless = False
        books = (party.book for party in self._parties.values())
        end = min((entry.until for book in books for entry in book.entries if entry.until is not None), default=None)
        if end is None:
            return []
        at = min(float(end), self.now + LONGEST_SLEEP)
        if self._wake_at is not None and self._wake_at <= at:
            return []
        self._wake_at = at
        return [Later(max(0.0, at - self.now), LeaseDue(at))]

    # --- within

    def _due(self) -> Texts:
        """Leases that are over are gone."""
        assert self.now is not None
        self._wake_at, self._restless = None, True
        texts: Texts = {}
        for who, party in list(self._parties.items()):
            texts.update(self._keep(who, replace(party, book=party.book.at(self.now))))
        return texts

    def _party(self, who: Who) -> Party:
        return self._parties.get(who) or Party(Book(who[1]))

    def _keep(self, who: Who, party: Party) -> Texts:
        """What is to be written for a vNIC that is so now."""
        old = self._party(who)
        self._parties[who] = party
        for entry in party.book.entries:
            if old.book.find(entry.address) is None:
                self._notices.get(who, {}).pop(entry.address, None)
        if party.book == old.book:
            return {}
        self._restless = True
        text = format_book(party.book)
        return dict.fromkeys(self._places.get(who, ()), text)

    def _claimed(
        self, port: VnicPort, bridge: Bridge, claimed: Claim, everybody: Callable[[], Iterable[Vnic]]
    ) -> Texts:
        assert self.now is not None
        who = _who(port.vnic)
        party = self._party(who)
        book = claim(
            party.book, claimed, self._limit, self.now, lambda each: self._taken(port, bridge, each, everybody)
        )
        if book is None:
            told = f"it uses {claimed.address}, but has learned {self._limit} others by first use, which is the limit"
            self._notice(port, bridge, None, Finding("learn-limit", "", told))
            return {}
        return self._keep(who, replace(party, book=book)) if book is not party.book else {}

    def _taken(
        self, port: VnicPort, bridge: Bridge, address: Address, everybody: Callable[[], Iterable[Vnic]]
    ) -> bool:
        """True, and a finding, if another vNIC has the address."""
        vnic = port.vnic
        for other in everybody():
            if other.id != vnic.id and other.scope == vnic.scope and other.owns(address):
                told = f"it does not learn {address} (scope {vnic.scope}): {quote(other.name)} has it"
                self._notice(port, bridge, address, Finding("learned-address", "", told))
                return True
        return False

    def _notice(self, port: VnicPort, bridge: Bridge, about: Address | None, finding: Finding) -> None:
        assert self.now is not None
        where = f"{shown(bridge.host)}/{shown(bridge.name)}/{shown(port.name)}"
        notices = self._notices.setdefault(_who(port.vnic), {})
        notices.pop(about, None)
        notices[about] = self.now, replace(finding, where=where)
        while len(notices) > MAX_NOTICES:
            del notices[next(iter(notices))]

    def _learning(self, topology: Topology) -> Iterable[tuple[Who, Place, str]]:
        """The vNICs that may learn, and on which interfaces; of bridges that are as they were, as they were found."""
        seen, self._seen = self._seen, {}
        for bridge in topology.bridges:
            key = bridge.remote, bridge.uuid
            known = seen.get(key)
            if known is None or known[0] is not bridge:
                where = f"{shown(bridge.host)}/{shown(bridge.name)}"
                known = bridge, [
                    (_who(port.vnic), (bridge.remote, port.interface_uuid), f"{where}/{shown(port.name)}")
                    for port in bridge.vnic_ports
                    if not port.vnic.trusted and not stated(port.vnic)
                ]
            self._seen[key] = known
            yield from known[1]

    def _newest(self, who: Who, book: Book, rows: Iterable[tuple[Place, str | None, str]]) -> Book:
        """The newest of what is remembered of a vNIC and what its rows say."""
        assert self.now is not None
        for place, text, where in rows:
            if text is None:
                if self._written.get(place) == who:
                    # Somebody has taken it away: the vNIC is to forget what it has learned.
                    book = book.with_entries((), self.now)
                continue
            found = _book(text)
            if found is None:
                continue
            if found.mac != who[1]:
                self._changed_mac(who, found, where)
                book = book if book.stamp else replace(book, stamp=max(1, int(self.now)))
            elif found.stamp >= book.stamp and found != book:
                book = found
        return book.at(self.now)

    def _changed_mac(self, who: Who, other: Book, where: str) -> None:
        """A vNIC with another MAC has learned nothing."""
        assert self.now is not None
        if (who[0], other.mac) not in self._places:
            self._parties.pop((who[0], other.mac), None)
        if other.entries:
            told = f"what was learned for MAC {other.mac} is forgotten: its MAC is {who[1]}"
            self._notices.setdefault(who, {})[None] = self.now, Finding("foreign-learned", where, told)

    def _forget_absent(self) -> None:
        absent = [who for who in self._parties if who not in self._places]
        for number, who in enumerate(absent):
            if len(absent) - number > MAX_ABSENT or not self._parties[who].book.entries:
                del self._parties[who]
        for who in [who for who in self._notices if who not in self._places]:
            del self._notices[who]


def _who(vnic: Vnic) -> Who:
    return vnic.id, vnic.mac or ""


def _port(bridge: Bridge, zone: int) -> VnicPort | None:
    """The port of the vNIC with this zone, if it may learn."""
    for port in bridge.vnic_ports if zone else ():
        if port.zone == zone:
            return None if port.vnic.trusted or stated(port.vnic) else port
    return None


def _is_its_own(heard: Heard, from_client: bool, vnic: Vnic) -> bool:
    """True if the frame's MACs are right: it comes from the vNIC, or is for it."""
    return heard.source == vnic.mac if from_client else heard.destination in (vnic.mac, BROADCAST_MAC)


def _book(text: str) -> Book | None:
    try:
        return parse_book(text)
    except ValueError:
        return None
