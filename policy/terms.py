"""Service terms: `tcp/443`, `icmp/echo`, `proto/47`, from text to `policy.model.Term` values, merged and sorted.

Kinds of the same connection have one value only: `proto/6` is `tcp`, `icmp` is a term for each family.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from functools import lru_cache

from policy.model import ALL_PORTS, ICMP, ICMPV6, PORT_PROTOCOLS, Range, Term
from policy.problems import quoted

# First words of terms; no service may be called so.
PROTOCOL_WORDS = (*PORT_PROTOCOLS, "icmp", "icmp4", "icmp6", "proto")
MAX_TERM = 4096  # characters
ECHO_REQUEST, ECHO_REQUEST_V6 = 8, 128
_ICMP_FAMILIES = {"icmp4": (ICMP, 4), "icmp6": (ICMPV6, 6)}
_DIGITS = re.compile(r"[0-9]{1,5}")


class TermError(ValueError):
    """Text that is no term; the message says what would be."""


def is_term(text: str) -> bool:
    """True if the text is a term, even a wrong one, rather than the name of a service."""
    return "/" in text or text == "any" or text in PROTOCOL_WORDS


@lru_cache(maxsize=4096)  # an alias may show the same long term a thousand times
def parse_term(text: str) -> tuple[Term, ...]:
    """The terms that a text like `tcp/80,443` or `icmp` means (two: one a family). Raises `TermError`."""
    if len(text) > MAX_TERM:
        raise TermError(f"a term has at most {MAX_TERM} characters")
    word, *arguments = text.split("/")
    if word == "any" and not arguments:
        return (Term(),)
    if word in PORT_PROTOCOLS and len(arguments) <= 1:
        return (Term(PORT_PROTOCOLS[word], ports=parse_ports(arguments[0]) if arguments else ALL_PORTS),)
    if word == "icmp":
        return _icmp(text, arguments)
    if word in _ICMP_FAMILIES and len(arguments) <= 2:
        numbers = [_number(argument, 255, "an ICMP type or code") for argument in arguments]
        icmp_type, icmp_code = [*numbers, None, None][:2]
        protocol, family = _ICMP_FAMILIES[word]
        return (Term(protocol, family, icmp_type=icmp_type, icmp_code=icmp_code),)
    if word == "proto" and len(arguments) == 1:
        return (protocol_term(_number(arguments[0], 255, "an IP protocol")),)
    raise TermError(
        f"{quoted(text)} is not a term: write any, tcp, tcp/PORT, tcp/LOW-HIGH, tcp/A,B (udp, sctp alike), icmp, "
        "icmp/echo, icmp4/TYPE, icmp4/TYPE/CODE (icmp6 alike) or proto/NUMBER"
    )


def _icmp(text: str, arguments: list[str]) -> tuple[Term, ...]:
    if not arguments:
        return Term(ICMP, 4), Term(ICMPV6, 6)
    if arguments == ["echo"]:
        return Term(ICMP, 4, icmp_type=ECHO_REQUEST), Term(ICMPV6, 6, icmp_type=ECHO_REQUEST_V6)
    rest = "/".join(arguments)[:20]
    raise TermError(f"{quoted(text)}: a type belongs to one family: write 'icmp4/{rest}' or 'icmp6/{rest}'")


def protocol_term(number: int) -> Term:
    """All connections of an IP protocol. ICMP's numbers mean their own family: elsewhere they are no ICMP."""
    families = {ICMP: 4, ICMPV6: 6}
    return Term(number, families.get(number))


def _number(text: str, highest: int, what: str) -> int:
    if not _DIGITS.fullmatch(text) or int(text) > highest:
        raise TermError(f"{quoted(text)} is not {what}: a number from 0 to {highest}")
    return int(text)


def parse_ports(text: str) -> tuple[Range, ...]:
    """Ports like `80`, `1024-65535` or `80,443,8000-8080` as sorted, disjoint ranges. Raises `TermError`."""
    ranges = []
    for part in text.split(","):
        low, dash, high = part.partition("-")
        first = _number(low, 65535, "a port")
        last = _number(high, 65535, "a port") if dash else first
        if first > last:
            raise TermError(f"the range {quoted(part)} runs backwards; write '{last}-{first}'")
        ranges.append((first, last))
    return join_ranges(ranges)


def join_ranges(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """The same numbers as sorted ranges that neither overlap nor touch."""
    joined: list[Range] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return tuple(joined)


def merge(terms: Iterable[Term]) -> tuple[Term, ...]:
    """The same connections in fewer terms, sorted: ports of like terms joined, terms within wider ones left out.

    Terms with a helper stay as they are, also within wider ones: what they say about their connections no other says.
    """
    given = set(terms)
    helped = {term for term in given if term.helper is not None}
    return tuple(sorted([*_merged(given - helped), *helped], key=_order))


def _merged(wanted: Set[Term]) -> Iterable[Term]:
    if Term() in wanted:
        return (Term(),)
    ports: dict[tuple[int, tuple[Range, ...]], list[Range]] = {}
    others: set[Term] = set()
    for term in wanted:
        if term.protocol is not None and term.protocol in PORT_PROTOCOLS.values():
            ports.setdefault((term.protocol, term.source_ports), []).extend(term.ports)
        elif not _wider(term) & wanted:
            others.add(term)
    joined = (Term(key[0], ports=join_ranges(found), source_ports=key[1]) for key, found in ports.items())
    return (*joined, *others)


def _wider(term: Term) -> set[Term]:
    """The wider terms that an ICMP term lies in: its type with any code, its family with any type."""
    if term.icmp_type is None:
        return set()
    whole = Term(term.protocol, term.family)
    if term.icmp_code is None:
        return {whole}
    return {whole, Term(term.protocol, term.family, icmp_type=term.icmp_type)}


def _order(term: Term) -> tuple[object, ...]:
    def known(value: int | None) -> int:
        return -1 if value is None else value

    numbers = known(term.protocol), known(term.icmp_type), known(term.icmp_code)
    return *numbers, term.ports, term.source_ports, term.helper or ""


def size(terms: tuple[Term, ...]) -> int:
    """Port ranges in the terms (at least one a term): what it costs to handle them."""
    return sum(len(term.ports) + len(term.source_ports) for term in terms)
