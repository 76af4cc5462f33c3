"""Sets of services in the language's words: terms, merged and sorted, and one concrete connection of a set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from policy.analysis.planes import NOTHING, Line, Plane, by_line
from policy.analysis.regions import ALL, ALL_TYPES, FAMILY, PLANES, PORT_PLANES, STRAY, Region
from policy.model import ALL_PORTS, ICMP, ICMPV6, PORT_PROTOCOLS
from policy.question import DEFAULT_SOURCE_PORT
from policy.terms import ECHO_REQUEST, ECHO_REQUEST_V6

_ICMP_WORDS = {ICMP: "icmp4", ICMPV6: "icmp6"}
_PORT_WORDS = {number: word for word, number in PORT_PROTOCOLS.items()}
# Terms of both families that the language says with one word.
_TWINS = (("icmp", "icmp4", "icmp6"), ("icmp/echo", f"icmp4/{ECHO_REQUEST}", f"icmp6/{ECHO_REQUEST_V6}"))


def terms(region: Region, family: int | None = None) -> list[str]:
    """The set as the language writes it, each service once, sorted by protocol's word, then by numbers.

    ``family`` None: of both families. `any` is everything that is possible there. Two things have no word in the
    language, and get one here: source ports (`tcp/443 source-port 1024-65535`), and ICMP's protocol numbers in the
    other family's packets, which are no ICMP: `proto/1` (IPv6) and `proto/58` (IPv4).
    """
    space = ALL if family is None else FAMILY[family]
    region = region & space
    if region == space:
        return ["any"]
    found = _of_icmp(region)
    others = [number for number in range(256) if region.others >> number & 1]
    found += [f"proto/{number}" for number in others]
    for word in sorted(PORT_PROTOCOLS):
        found += _of_ports(word, region.planes[PLANES.index(PORT_PROTOCOLS[word])])
    return found


def summary(region: Region, family: int | None = None) -> str:
    """The set for people: terms, or what is left out where that is shorter, or `nothing`."""
    found = terms(region, family)
    if not found:
        return "nothing"
    left_out = terms((ALL if family is None else FAMILY[family]) - region, family)
    if left_out and len(left_out) < len(found):
        return f"any but {' '.join(left_out)}"
    return " ".join(found)


def _of_icmp(region: Region) -> list[str]:
    found = [term for number in (ICMP, ICMPV6) for term in _of_types(number, region.planes[PLANES.index(number)])]
    for both, first, second in _TWINS:
        if first in found and second in found:
            found = [both, *(term for term in found if term not in (first, second))]
    return found


def _of_types(number: int, plane: Plane) -> Iterator[str]:
    word = _ICMP_WORDS[number]
    if plane == ((0, 255, ALL_TYPES),):
        yield word
        return
    for first, last, codes in plane:
        for kind in range(first, last + 1):
            if codes == ALL_TYPES:
                yield f"{word}/{kind}"
            else:
                yield from (f"{word}/{kind}/{code}" for low, high in codes for code in range(low, high + 1))


def _of_ports(word: str, plane: Plane) -> list[str]:
    """One term for all ports that go with the same source ports; the plain one, for all source ports, first."""
    found = by_line(plane)
    ordered = sorted(found, key=lambda sources: (sources != ALL_PORTS, sources))
    return [
        (word if found[sources] == ALL_PORTS else f"{word}/{line_text(found[sources])}")
        + ("" if sources == ALL_PORTS else f" source-port {line_text(sources)}")
        for sources in ordered
    ]


def line_text(line: Line) -> str:
    """Ports as the language writes them: `80,443,8000-8080`."""
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in line)


class Service(NamedTuple):
    """One kind of connection: what `policy.evaluate.Connection` has beside its ends."""

    family: int
    protocol: int
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None

    def within(self, region: Region) -> bool:
        """True if the set holds it."""
        if self.icmp_type is not None:
            return region.has(self.family, self.protocol, self.icmp_type, self.icmp_code)
        return region.has(self.family, self.protocol, self.destination_port, self.source_port)

    @property
    def text(self) -> str:
        """As `explain` takes it for `--service`, with the source port where that is not the usual one."""
        if self.protocol in _PORT_WORDS:
            told = f"{_PORT_WORDS[self.protocol]}/{self.destination_port}"
            return told if self.source_port == DEFAULT_SOURCE_PORT else f"{told} source-port {self.source_port}"
        if self.icmp_type is not None:
            return f"{_ICMP_WORDS[self.protocol]}/{self.icmp_type}" + (f"/{self.icmp_code}" if self.icmp_code else "")
        return f"proto/{self.protocol}"


def example(region: Region, family: int) -> Service | None:
    """One connection of the set that is possible in the family, the most ordinary one; None if there is none."""
    for place, number in enumerate(PLANES):
        plane = region.planes[place]
        if plane == NOTHING or STRAY[family] == number:
            continue
        if place < PORT_PLANES:
            port, sources = _usual(plane)
            return Service(family, number, sources, port)
        kind, code = plane[0][0], plane[0][2][0][0]
        return Service(family, number, icmp_type=kind, icmp_code=code)
    others = (region & FAMILY[family]).others
    return Service(family, (others & -others).bit_length() - 1) if others else None


def _usual(plane: Plane) -> tuple[int, int]:
    """A destination and a source port of the plane; the source port that `explain` takes, if there is one with it."""
    for first, _, sources in plane:
        if any(low <= DEFAULT_SOURCE_PORT <= high for low, high in sources):
            return first, DEFAULT_SOURCE_PORT
    return plane[0][0], plane[0][2][-1][1]
