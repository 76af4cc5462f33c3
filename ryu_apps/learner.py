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

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from policy.flows.learning import is_about_claims, is_about_leases, is_about_objections
from policy.flows.packet_in import Copy
from ryu_apps.facts import Later, LeaseDue
from ryu_apps.learn_bounds import CHANGE_SECONDS, Notices, Paces, Who
from ryu_apps.learn_settings import LearnSettings, sources_of
from ryu_apps.learned_texts import Place, Texts
from ryu_apps.open_claims import OpenClaims, Question
from ryu_apps.whereabouts import Whereabouts, may_learn, who_is
from topology.addresses import Address
from topology.claims import quote, shown
from topology.dhcp import FromClient
from topology.frames import BROADCAST_MAC, Claim
from topology.heard import Heard, read_heard
from topology.learned import FIRST_USE, LEASES, Book, Learned, Source, format_book, parse_book
from topology.leases import Party, claim, hear
from topology.owners import Owners
from topology.ports import Bridge, Finding, Topology, VnicPort
from topology.rows import LEARNED_KEY, Database, kept_at
from topology.vnic import Vnic

# The longest that the learner sleeps although a lease ends later: clocks may be set.
LONGEST_SLEEP = 60.0
# vNICs on no port whose books are remembered.
MAX_ABSENT = 10_000


@dataclass(slots=True)
class _Speaker:
    """A vNIC that has just said something, or was told, about its addresses. ``squatters`` have used an address before
    it that a server has now leased to it.
    """

    port: VnicPort
    bridge: Bridge
    owners: Callable[[], Owners]
    squatters: list[tuple[Who, Address]] = field(default_factory=list)

    @property
    def who(self) -> Who:
        return who_is(self.port.vnic)

    @property
    def where(self) -> str:
        return f"{shown(self.bridge.host)}/{shown(self.bridge.name)}/{shown(self.port.name)}"


class Learner:
    """All that is known of learned addresses beside the rows. ``now`` None: the time has not been told yet."""

    def __init__(self, settings: LearnSettings) -> None:
        self.now: float | None = None
        self._sources = sources_of(settings.learn)
        self._limit = settings.first_use
        self._parties: dict[Who, Party] = {}
        self._whereabouts = Whereabouts()
        # The places of each vNIC that had a text when last looked at.
        self._written: dict[Who, frozenset[Place]] = {}
        self._notices, self._paces = Notices(), Paces()
        self._open = OpenClaims()
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
        return tuple(self._notices.all(self.now or 0.0))

    # --- what happens

    def clock(self, now: float) -> Texts:
        """It is this time now (Unix seconds). It may go backwards, if somebody sets the clock."""
        self.now = now
        return self._due() if self._wake_at is not None and now >= self._wake_at else {}

    def due(self, at: float) -> Texts:
        """A `LeaseDue` has come."""
        return self._due() if at == self._wake_at else {}

    def wants(self, copy: Copy) -> bool:
        """True if the copy of a frame may say something about addresses; of no other frame we need to hear."""
        if is_about_leases(copy):
            return not self._sources.isdisjoint(LEASES)
        return not self._sources.isdisjoint(FIRST_USE) and (is_about_claims(copy) or is_about_objections(copy))

    def hear(self, copy: Copy, bridge: Bridge, owners: Callable[[], Owners]) -> Texts:
        """A copied frame: what a vNIC of the bridge says, or is told, about its addresses.

        ``owners`` knows all vNICs, those of the inventory that are on no port included.
        """
        if self.now is None or not self.wants(copy):
            return {}
        heard = read_heard(copy.frame)
        if is_about_objections(copy):
            self._open.hear(bridge.dpid or 0, self.now)
            if isinstance(heard, Claim):
                self._objected(heard, bridge, copy.vlan)
            return {}
        # Who may say what, the flow has decided that has let it pass or dropped it.
        if heard is None or isinstance(heard, Claim) is is_about_leases(copy):
            return {}
        if isinstance(heard, Claim):
            port = _port(bridge, copy.src_vnic)
            return self._claimed(_Speaker(port, bridge, owners), heard) if port is not None else {}
        from_client = isinstance(heard.message, FromClient)
        port = _port(bridge, copy.src_vnic) if from_client else _addressee(bridge, copy, heard)
        if port is None or not _is_its_own(heard, from_client, port.vnic):
            return {}
        speaker = _Speaker(port, bridge, owners)
        if from_client and not _in_its_own_name(heard, port.vnic):
            told = "it asks DHCP servers for addresses in the name of other hardware; what they answer does not count"
            self._notice(speaker.who, "foreign-hardware", Finding("foreign-hardware", speaker.where, told))
            return {}
        party = self._party(speaker.who)
        after = hear(party, heard.message, self.now, lambda each: self._taken(speaker, each, leased=True))
        texts = self._keep(speaker.who, self._paced(speaker, party, after))
        for other, address in speaker.squatters:
            if self._party(speaker.who).book.find(address) is not None:
                texts |= self._evict(other, address, port.vnic)
        return texts

    def unopposed(self, who: Who, address: Address, topology: Topology, owners: Callable[[], Owners]) -> Texts:
        """A `ClaimDue` has come: what the vNIC has begun to use is its own, if nobody has objected meanwhile."""
        if self._open.drowned(who, address):
            told = f"it does not learn {address}: so much comes for who asks outside that an objection may be lost"
            self._notice(who, address, Finding("learned-address", self._where(who), told))
        heard = self._open.close(who, address)
        bridge = next((each for each in topology.bridges if heard is not None and each.dpid == heard.dpid), None)
        if heard is None or bridge is None or self.now is None:
            return {}
        # Where it was asked about; elsewhere somebody else may have it.
        for port in bridge.vnic_ports:
            if who_is(port.vnic) == who and port.vlan == heard.vlan and may_learn(port):
                book = self._with_claim(_Speaker(port, bridge, owners), heard.claimed)
                return {} if book is None else self._keep(who, replace(self._party(who), book=book))
        return {}

    def questions(self) -> list[Question]:
        """What the outside is to be asked, once."""
        return self._open.questions()

    def unasked(self, who: Who, address: Address) -> None:
        """The outside cannot be asked now; the vNIC will say again what it uses."""
        self._open.close(who, address)

    def follow(self, topology: Topology, databases: Mapping[str, Database]) -> Texts:
        """The rows, or what they mean, have changed: which vNICs are where, and what their rows say."""
        if self.now is None or not self._sources:
            return {}
        texts: Texts = {}
        touched = self._whereabouts.take(topology, databases)
        for who in touched:
            found = [(place, _text(databases, place)) for place in self._whereabouts.places(who)]
            written = self._written.pop(who, frozenset())
            if not found or (who not in self._parties and all(text is None for _, text in found)):
                continue
            party = self._party(who)
            book = self._newest(who, party.book, found, written)
            if book is not party.book:
                self._parties[who], self._restless = replace(party, book=book), True
            if book.stamp:
                text = format_book(book)
                texts.update((place, text) for place, old in found if old != text)
                self._written[who] = frozenset(place for place, _ in found)
        if touched:
            self._forget_absent()
        return texts

    def look_again(self) -> None:
        """What rows say may have been asked of nobody: we have become the ones to write, or a write has failed."""
        self._whereabouts.look_again()

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
                self._notices.settled(who, entry.address)
        if party.book == old.book:
            return {}
        self._restless = True
        text = format_book(party.book)
        return dict.fromkeys(self._whereabouts.places(who), text)

    def _paced(self, speaker: _Speaker, old: Party, new: Party) -> Party:
        """The vNIC as it is to be: with nothing new, if it has learned too much of late."""
        assert self.now is not None
        if set(new.book.entries) <= set(old.book.entries) or self._may_change(speaker):
            return new
        return replace(new, book=old.book)

    def _may_change(self, speaker: _Speaker) -> bool:
        """False, and a finding, if the vNIC has learned too much of late."""
        assert self.now is not None
        if self._paces.allows(speaker.who, self.now):
            return True
        told = f"its addresses change more often than every {CHANGE_SECONDS:g} s, so it learns none for a while"
        self._notice(speaker.who, "learn-pace", Finding("learn-pace", speaker.where, told))
        return False

    def _claimed(self, speaker: _Speaker, claimed: Claim) -> Texts:
        """A vNIC has used an address: if it may have it, the outside is asked first whether that is so."""
        assert self.now is not None
        who, dpid = speaker.who, speaker.bridge.dpid
        if dpid is None or self._open.has(who, claimed.address, self.now):
            return {}
        book = self._with_claim(speaker, claimed)
        if book is not None and book is not self._party(who).book and self._may_change(speaker):
            self._open.begin(who, claimed, dpid, speaker.port.vlan, self.now)
        return {}

    def _with_claim(self, speaker: _Speaker, claimed: Claim) -> Book | None:
        """The vNIC's book with what it claims; as it was, if another has that; None, and a finding: it has too much."""
        assert self.now is not None
        book = claim(
            self._party(speaker.who).book,
            claimed,
            self._limit,
            self.now,
            lambda each: self._taken(speaker, each, leased=False),
        )
        if book is None:
            told = f"it uses {claimed.address}, but has learned {self._limit} others by first use, which is the limit"
            self._notice(speaker.who, "learn-limit", Finding("learn-limit", speaker.where, told))
        return book

    def _objected(self, claimed: Claim, bridge: Bridge, vlan: int) -> None:
        """Somebody outside says that an address is his."""
        for who in self._open.object(claimed, bridge.dpid or 0, vlan):
            told = f"it does not learn {claimed.address}: somebody outside has it (MAC {claimed.mac})"
            self._notice(who, claimed.address, Finding("learned-address", self._where(who), told))

    def _taken(self, speaker: _Speaker, address: Address, *, leased: bool) -> bool:
        """True, and a finding, if another vNIC has the address. What others just use does not hold against a lease."""
        vnic = speaker.port.vnic
        for other in speaker.owners().of(vnic.scope, address):
            if other.id == vnic.id:
                continue
            if leased and self._just_uses(other, address):
                speaker.squatters.append((who_is(other), address))
                continue
            told = f"it does not learn {address} (scope {vnic.scope}): {quote(other.name)} has it"
            self._notice(speaker.who, address, Finding("learned-address", speaker.where, told))
            return True
        return False

    def _just_uses(self, vnic: Vnic, address: Address) -> bool:
        entry = self._party(who_is(vnic)).book.find(address) if vnic.learned else None
        return entry is not None and entry.source in FIRST_USE

    def _evict(self, who: Who, address: Address, heir: Vnic) -> Texts:
        """An address that a vNIC just used belongs to another from now on."""
        assert self.now is not None
        party = self._party(who)
        left = tuple(entry for entry in party.book.entries if entry.address != address)
        told = f"it loses {address}, learned by first use: a DHCP server has given it to {quote(heir.name)}"
        self._notice(who, address, Finding("learned-address", self._where(who), told))
        return self._keep(who, replace(party, book=party.book.with_entries(left, self.now)))

    def _where(self, who: Who) -> str:
        return next(map(self._whereabouts.where, self._whereabouts.places(who)), "")

    def _notice(self, who: Who, about: Hashable, finding: Finding) -> None:
        assert self.now is not None
        self._notices.tell(who, about, finding, self.now)

    def _newest(
        self, who: Who, book: Book, rows: Iterable[tuple[Place, str | None]], written: Collection[Place]
    ) -> Book:
        """The newest of what is remembered of a vNIC and what its rows say. ``written``: those that had a text."""
        assert self.now is not None
        for place, text in rows:
            if text is None:
                if place in written:
                    # Somebody has taken it away: the vNIC is to forget what it has learned.
                    book = book.with_entries((), self.now)
                continue
            found = _book(text)
            if found is None:
                continue
            if found.mac != who[1]:
                self._changed_mac(who, found, self._whereabouts.where(place))
                book = book if book.stamp else replace(book, stamp=max(1, int(self.now)))
            elif found.stamp >= book.stamp and found != book:
                book = found
        return book.at(self.now)

    def _changed_mac(self, who: Who, other: Book, where: str) -> None:
        """A vNIC with another MAC has learned nothing."""
        assert self.now is not None
        if not self._whereabouts.places((who[0], other.mac)):
            self._parties.pop((who[0], other.mac), None)
        if other.entries:
            told = f"what was learned for MAC {other.mac} is forgotten: its MAC is {who[1]}"
            self._notice(who, "foreign-learned", Finding("foreign-learned", where, told))

    def _forget_absent(self) -> None:
        present = self._whereabouts.everybody()
        absent = [who for who in self._parties if who not in present]
        for number, who in enumerate(absent):
            if len(absent) - number > MAX_ABSENT or not self._parties[who].book.entries:
                del self._parties[who]
        self._notices.keep(present)
        self._paces.keep(present)


def _text(databases: Mapping[str, Database], place: Place) -> str | None:
    """What the rows say that a vNIC has learned."""
    uuid, key = kept_at(place[1], LEARNED_KEY)
    return databases[place[0]].interfaces[uuid].external_ids.get(key)


def _port(bridge: Bridge, zone: int) -> VnicPort | None:
    """The port of the vNIC with this zone, if it may learn."""
    port = bridge.by_zone.get(zone) if zone else None
    return port if port is not None and may_learn(port) else None


def _addressee(bridge: Bridge, copy: Copy, heard: Heard) -> VnicPort | None:
    """The port of the vNIC that a server's answer is for, if it may learn; an answer to all names its hardware.

    A vNIC that serves others gives itself nothing.
    """
    zone, exchange = copy.dst_vnic, heard.message.exchange
    if not zone and exchange.version == 4:
        mac = exchange.client.hex(":")
        fits = (port.zone for port in bridge.by_zone.values() if port.vnic.mac == mac and port.vlan == copy.vlan)
        zone = next(fits, None) or 0
    return _port(bridge, zone) if zone != copy.src_vnic else None


def _in_its_own_name(heard: Heard, vnic: Vnic) -> bool:
    """False if a DHCPv4 message is about other hardware than the vNIC's. DHCPv6 clients have names of other kinds."""
    exchange = heard.message.exchange
    return exchange.version != 4 or exchange.client.hex(":") == vnic.mac


def _is_its_own(heard: Heard, from_client: bool, vnic: Vnic) -> bool:
    """True if the frame's MACs are right: it comes from the vNIC, or is for it."""
    return heard.source == vnic.mac if from_client else heard.destination in (vnic.mac, BROADCAST_MAC)


def _book(text: str) -> Book | None:
    try:
        return parse_book(text)
    except ValueError:
        return None
