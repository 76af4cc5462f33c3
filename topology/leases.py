"""How a vNIC comes to addresses, and loses them: its exchanges with DHCP servers, and first use. Pure; time is told.

    asked for -----> granted: learned, for the length of the lease -----> renewed, and so on
                         |--> given back, declined, refused (DHCPNAK), withdrawn (lifetime 0), over: gone

An answer counts only for an exchange that the vNIC has begun, once. What is asked for and never answered is forgotten
after `PATIENCE` seconds, and all but the newest `MAX_PENDING` before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from topology.addresses import Address, mac_number
from topology.dhcp import FOREVER, Asked, Exchange, FromClient, FromServer, GivenBack, Granted, Refused
from topology.frames import Claim
from topology.learned import FIRST_USE, MAX_LEASES, Book, Learned, Source

# A client repeats its question for about a minute (RFC 2131, section 4.1), with the same number.
PATIENCE = 120.0
MAX_PENDING = 8
# A renewal that makes a lease longer by less than this part of it is not worth a change: the lease then only counts as
# over a little early, while a client asks again when half of it is over.
_WORTHWHILE = 16

# Says if somebody else has the address.
Taken = Callable[[Address], bool]


@dataclass(frozen=True, slots=True)
class Pending:
    """Something the vNIC has asked for, and when."""

    asked: Asked
    when: float


@dataclass(frozen=True, slots=True)
class Party:
    """One vNIC in its dealings: what it has, and what it waits for."""

    book: Book
    pending: tuple[Pending, ...] = ()


def hear(party: Party, message: FromClient | FromServer, now: float, taken: Taken) -> Party:
    """The vNIC after a DHCP message from it, or to it. What somebody else has is not learned."""
    exchange = message.exchange
    if exchange.version == 4 and int.from_bytes(exchange.client, "big") != mac_number(party.book.mac):
        return party
    match message:
        case Asked():
            others = (other for other in party.pending if other.asked.exchange != exchange)
            waiting = tuple(other for other in others if now - other.when < PATIENCE)
            return replace(party, pending=(*waiting, Pending(message, now))[-MAX_PENDING:])
        case GivenBack(_, addresses):
            return replace(party, book=_without(party.book, exchange, addresses, now))
        case Granted() | Refused():
            asked = _asked(party, exchange, now)
            rapid = isinstance(message, Granted) and message.rapid
            if asked is None or (asked.only_rapid and not rapid):
                return party
            left = tuple(other for other in party.pending if other.asked is not asked)
            if isinstance(message, Refused):
                return Party(_refused(party.book, asked, now), left)
            return Party(_granted(party.book, message, now, taken), left)


def claim(book: Book, claimed: Claim, limit: int, now: float, taken: Taken) -> Book | None:
    """The book after the vNIC has used an address; None: it is a new one and the vNIC has ``limit`` of its family.

    Link-local addresses that follow from a MAC are not learned: its own is the vNIC's anyway, another's never.
    """
    address = claimed.address
    if claimed.mac != book.mac or book.find(address) is not None or _of_a_mac(address):
        return book
    source = Source.ARP if address.version == 4 else Source.ND
    if sum(entry.source is source for entry in book.entries) >= limit:
        return None
    if taken(address):
        return book
    return book.with_entries((*book.entries, Learned(address, source, int(now))), now)


def _of_a_mac(address: Address) -> bool:
    """True for a link-local address with an interface identifier made of a MAC (RFC 4291, appendix A)."""
    return address.version == 6 and address.is_link_local and int(address) >> 24 & 0xFFFF == 0xFFFE


def _asked(party: Party, exchange: Exchange, now: float) -> Asked | None:
    for pending in party.pending:
        if pending.asked.exchange == exchange and now - pending.when < PATIENCE:
            return pending.asked
    return None


def _source(version: int) -> Source:
    return Source.DHCP4 if version == 4 else Source.DHCP6


def _without(book: Book, exchange: Exchange, addresses: Iterable[Address], now: float) -> Book:
    """The book without leases of the exchange's family on these addresses."""
    source, gone = _source(exchange.version), set(addresses)
    kept = tuple(entry for entry in book.entries if entry.source is not source or entry.address not in gone)
    return book.with_entries(kept, now)


def _refused(book: Book, asked: Asked, now: float) -> Book:
    """The client must not use what it has named; one that has named nothing must begin anew (RFC 2131, section 3.2)."""
    source = _source(asked.exchange.version)
    named = asked.addresses or tuple(entry.address for entry in book.entries if entry.source is source)
    return _without(book, asked.exchange, named, now)


def _granted(book: Book, granted: Granted, now: float, taken: Taken) -> Book:
    source = _source(granted.exchange.version)
    fresh: list[Address] = []
    for address, seconds in granted.leases:
        known = book.find(address)
        if not seconds:
            book = _without(book, granted.exchange, (address,), now)
            continue
        until = None if seconds == FOREVER else int(now) + seconds
        if known is None:
            if taken(address):
                continue
            entry = Learned(address, source, int(now), until)
        elif known.source in FIRST_USE or not _hardly_longer(known.until, until, seconds):
            # What was in use before is a lease from now on.
            entry = replace(known, source=source, until=until)
        else:
            entry = known
        fresh.append(address)
        others = tuple(other for other in book.entries if other.address != address)
        book = book.with_entries((*others, entry), now)
    return _bounded(book, source, fresh, now)


def _hardly_longer(old: int | None, new: int | None, seconds: int) -> bool:
    return old is not None and new is not None and 0 <= new - old < seconds / _WORTHWHILE


def _bounded(book: Book, source: Source, fresh: Iterable[Address], now: float) -> Book:
    """The book with the leases of a family that end last, those just granted before all others."""
    new = set(fresh)

    def worth(entry: Learned) -> tuple[bool, float, int]:
        until = float("inf") if entry.until is None else entry.until
        return entry.address in new, until, -int(entry.address)

    leases = sorted((entry for entry in book.entries if entry.source is source), key=worth, reverse=True)
    dropped = set(leases[MAX_LEASES:])
    if not dropped:
        return book
    return book.with_entries(tuple(entry for entry in book.entries if entry not in dropped), now)
