"""Learned addresses as values, and as the text that keeps them in OVSDB.

A *book* is all that is known of one vNIC's learned addresses. It is kept in
``Interface.external_ids:portcullis-learned`` (a sub-port's in ``portcullis-learned.TAG`` of its parent's interface),
one word each for the MAC, the stamp, and every address:

    52:54:00:00:00:01 1764217200 10.0.0.50,dhcp4,1764217200,1764220800 2001:db8::50,nd,1764217205,-

An address comes with its source, since when it is known and until when it may be used (Unix seconds; ``-``: no end).
The stamp grows with every change, so of two copies of a book, on a switch that the VM has left and on its new one, the
newer is known.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from topology.addresses import Address, parse_address, parse_mac
from topology.claims import quote
from topology.frames import hosts_own
from topology.rows import LEARNED_KEY, MAX_TEXT, InterfaceRow, kept_at
from topology.vnic import Vnic

# Addresses of one family that a vNIC may have from DHCP, and the most that a setting may allow it to have by first use.
MAX_LEASES = 8
MAX_FIRST_USE = 16
MAX_ENTRIES = 2 * (MAX_LEASES + MAX_FIRST_USE)

_NUMBER = re.compile(r"0|[1-9][0-9]{0,11}")


class Source(enum.StrEnum):
    """How an address was learned. The first two are leases, which end; the others first use, which does not."""

    DHCP4 = "dhcp4"
    DHCP6 = "dhcp6"
    ARP = "arp"
    ND = "nd"


LEASES = frozenset({Source.DHCP4, Source.DHCP6})
FIRST_USE = frozenset({Source.ARP, Source.ND})
_VERSIONS = {Source.DHCP4: 4, Source.DHCP6: 6, Source.ARP: 4, Source.ND: 6}
# What `--learn` may say, and what it means.
WORDS: Mapping[str, frozenset[Source]] = {"dhcp": LEASES, "first-use": FIRST_USE, "none": frozenset()}


def sources_of(words: Collection[str]) -> frozenset[Source]:
    """From where addresses are learned. Raises ``ValueError`` for unknown words, and for ``none`` beside others."""
    unknown = sorted(set(words) - WORDS.keys())
    if unknown:
        raise ValueError(f"{quote(unknown[0])} is not one of {', '.join(WORDS)}")
    if "none" in words and len(set(words)) > 1:
        raise ValueError("none stands alone")
    return frozenset[Source]().union(*(WORDS[word] for word in words))


@dataclass(frozen=True, slots=True)
class Learned:
    """One address; ``since`` and ``until`` in Unix seconds, None: without end."""

    address: Address
    source: Source
    since: int
    until: int | None = None

    def over(self, now: float) -> bool:
        """True if it may no longer be used."""
        return self.until is not None and self.until <= now


@dataclass(frozen=True, slots=True)
class Book:
    """What the vNIC with this MAC has learned, in the order of addresses. ``stamp`` 0: nothing, ever."""

    mac: str
    stamp: int = 0
    entries: tuple[Learned, ...] = ()

    def find(self, address: Address) -> Learned | None:
        """The entry of an address."""
        return next((entry for entry in self.entries if entry.address == address), None)

    def with_entries(self, entries: tuple[Learned, ...], now: float) -> Book:
        """The book with other entries, newer than it was; itself if nothing is different."""
        entries = tuple(sorted(entries, key=lambda entry: (entry.address.version, int(entry.address))))
        if entries == self.entries:
            return self
        return replace(self, stamp=max(int(now), self.stamp + 1), entries=entries)

    def at(self, now: float) -> Book:
        """The book without the leases that are over."""
        return self.with_entries(tuple(entry for entry in self.entries if not entry.over(now)), now)


def format_book(book: Book) -> str:
    """The text of a book."""
    return " ".join((book.mac, str(book.stamp), *map(_format, book.entries)))


def _format(entry: Learned) -> str:
    until = "-" if entry.until is None else str(entry.until)
    return f"{entry.address},{entry.source},{entry.since},{until}"


@lru_cache(maxsize=16384)
def parse_book(text: str) -> Book:
    """The book of a text, which must be exactly as `format_book` writes it. Raises ``ValueError``."""
    if len(text) > MAX_TEXT:
        raise ValueError(f"longer than {MAX_TEXT} characters")
    words = text.split(" ", MAX_ENTRIES + 2)
    if not 2 <= len(words) <= MAX_ENTRIES + 2:
        raise ValueError(f"not a MAC, a number and at most {MAX_ENTRIES} addresses")
    book = Book(parse_mac(words[0]), _number(words[1]), tuple(map(_parse, words[2:])))
    if format_book(book) != text or book.with_entries(book.entries, 0) is not book:
        raise ValueError("not in the form and order in which it is written")
    if len({entry.address for entry in book.entries}) < len(book.entries):
        raise ValueError("an address is there twice")
    return book


def _parse(word: str) -> Learned:
    parts = word.split(",", 4)
    if len(parts) != 4:
        raise ValueError(f"{quote(word)} is not an address with source and times")
    address, source = parse_address(parts[0]), Source(parts[1])
    if address.version != _VERSIONS[source] or not hosts_own(address):
        raise ValueError(f"{quote(word)} is not an address that {source} brings")
    return Learned(address, source, _number(parts[2]), None if parts[3] == "-" else _number(parts[3]))


def _number(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{quote(text)} is not a number of seconds")
    return int(text)


def stated(vnic: Vnic) -> bool:
    """True if the inventory or OVSDB states the vNIC's addresses: then nothing learned counts."""
    return bool(vnic.addresses) and not vnic.learned


def read_learned(
    vnic: Vnic, interface: InterfaceRow, holder: str, sources: frozenset[Source]
) -> tuple[tuple[Learned, ...], tuple[str, str] | None]:
    """What an interface says that a vNIC has learned from these sources; and what is wrong, as (code, message).

    ``holder`` is the vNIC's at that interface (`topology.ports.holder`).

    Whatever is wrong with it, the vNIC just has no learned addresses.
    """
    key = kept_at(holder, LEARNED_KEY)[1]
    text = interface.external_ids.get(key)
    if text is None or vnic.trusted or stated(vnic) or not sources:
        return (), None
    try:
        book = parse_book(text)
    except ValueError as error:
        return (), ("bad-learned", f"external_ids:{key}: {error}; nothing of it counts")
    if book.mac != vnic.mac:
        return (), ("foreign-learned", f"external_ids:{key} is of MAC {book.mac}, so nothing of it counts")
    return tuple(entry for entry in book.entries if entry.source in sources), None
