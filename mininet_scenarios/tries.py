"""One try: from whom, to whom, which service, and what came of it. The words are made of tries."""

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mininet_scenarios.guest import Guest, Service

# What each protocol says when something came through to a server that is there.
THROUGH = {"tcp": "connected", "udp": "answered", "icmp": "answered"}

IP_PROTOCOL = {("tcp", 4): 6, ("tcp", 6): 6, ("udp", 4): 17, ("udp", 6): 17, ("icmp", 4): 1, ("icmp", 6): 58}
ECHO_REQUEST = {4: 8, 6: 128}

_numbers = itertools.count(1)
_session = uuid.uuid4().hex[:6]


def fresh_word(kind: str) -> str:
    """A word that nobody has said before, so that what is heard can only be what was just said."""
    return f"{kind}-{_session}-{next(_numbers)}"


def name_of(who: Guest | str) -> str:
    """A guest's name, or an address as it is."""
    return who.name if isinstance(who, Guest) else who


@dataclass(frozen=True)
class Path:
    """Who, to whom, which service, over which family: what a claim is about."""

    source: Guest
    target: Guest | str
    service: str
    family: int

    @property
    def host(self) -> str:
        """The address that is called."""
        return self.target.address(self.family) if isinstance(self.target, Guest) else self.target

    def __str__(self) -> str:
        source, target = self.source.address(self.family), self.host
        named = f"{self.target.name} ({target})" if isinstance(self.target, Guest) else target
        return f"{self.source.name} ({source}) to {named}, {self.service} over IPv{self.family}"

    def frame_filter(self) -> dict[str, Any]:
        """What its packets look like where they arrive."""
        service = Service.parse(self.service)
        where: dict[str, Any] = {
            "src": self.source.address(self.family),
            "dst": self.host,
            "protocol": IP_PROTOCOL[service.protocol, self.family],
        }
        if service.protocol == "icmp":
            return where | {"icmp_type": ECHO_REQUEST[self.family]}
        return where | {"dport": service.port}


@dataclass(frozen=True)
class Outcome:
    """What came of a try, and how long it took."""

    outcome: str
    why: str
    seconds: float

    def __str__(self) -> str:
        detail = f" ({self.why})" if self.why else ""
        return f"{self.outcome}{detail} after {self.seconds:.3f} s"


def paths(source: Guest, target: Guest | str, service: str, over: int | None) -> list[Path]:
    """The paths that a claim is about: every family that both ends have, or the one that is named."""
    if isinstance(target, str):
        families: Sequence[int] = [6 if ":" in target else 4]
    else:
        families = sorted(source.families & target.families)
    if over is not None:
        families = [family for family in families if family == over]
    if not families:
        raise ValueError(f"{source!r} and {target!r} have no address family in common" + (f" ({over})" if over else ""))
    return [Path(source, target, service, family) for family in families]


def attempt(path: Path, timeout: float) -> Outcome:
    """Try once, with a connection or a question of its own."""
    service = Service.parse(path.service)
    source = path.source
    if service.protocol == "tcp":
        result = source.ask("tcp.connect", host=path.host, port=service.port, timeout=timeout)
        if "link" in result:
            source.ask("tcp.close", link=result["link"])
    elif service.protocol == "icmp":
        result = source.ask("icmp.ping", host=path.host, timeout=timeout)
    else:
        result = source.ask("udp.open", host=path.host, port=service.port)
        if "link" in result:
            link = result["link"]
            result = source.ask("udp.ask", link=link, text=fresh_word("q"), timeout=timeout)
            source.ask("udp.close", link=link)
    return Outcome(str(result["outcome"]), str(result.get("why", "")), float(result.get("seconds", 0.0)))


def came_through(path: Path, outcome: Outcome) -> bool:
    """Whether a try reached a server and its answer came back."""
    return outcome.outcome == THROUGH[Service.parse(path.service).protocol]


def serve(path: Path) -> None:
    """See to it that there is somebody to answer."""
    if isinstance(path.target, Guest):
        path.target.serve(path.service)
