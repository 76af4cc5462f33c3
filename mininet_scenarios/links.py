"""Connections that stay: open now, still open later, cut then."""

import time
from dataclasses import dataclass

from mininet_scenarios.guest import Guest, Service
from mininet_scenarios.tries import Path, fresh_word, paths, serve


@dataclass(frozen=True)
class Link:
    """An established connection of one guest to another: TCP, or a UDP socket that has been answered."""

    path: Path
    number: int
    address: str
    port: int
    far_number: int | None = None

    def __str__(self) -> str:
        return f"the connection of {self.path} (from port {self.port})"

    def close(self) -> None:
        """End it in good order."""
        self.path.source.ask(f"{Service.parse(self.path.service).protocol}.close", link=self.number)


def connect(a: Guest, b: Guest, service: str, *, over: int | None = None, within: float = 5.0) -> Link:
    """Open a connection of `a` to `b` and keep it. Over IPv4 if both have it, unless `over` says otherwise."""
    path = paths(a, b, service, over)[0]
    serve(path)
    protocol, port = Service.parse(service).protocol, Service.parse(service).port
    deadline = time.monotonic() + within
    while True:
        left = max(deadline - time.monotonic(), 0.1)
        if protocol == "tcp":
            result = a.ask("tcp.connect", host=path.host, port=port, timeout=left)
        else:
            result = a.ask("udp.open", host=path.host, port=port)
            if "link" in result:
                result |= a.ask("udp.ask", link=result["link"], text=fresh_word("open"), timeout=min(1.0, left))
        if result["outcome"] in ("connected", "answered"):
            break
        if "link" in result:
            a.ask(f"{protocol}.close", link=result["link"])
        if time.monotonic() >= deadline:
            raise AssertionError(f"{path}: should connect, but did not in {within:.1f} s: {result['outcome']}")
        time.sleep(0.05)  # a refusal comes at once: ask again in a moment
    far = None
    if protocol == "tcp":
        far = b.ask("tcp.accepted", port=port, peer=result["address"], peer_port=result["port"], timeout=5.0)["link"]
    return Link(path, result["link"], result["address"], result["port"], far)


def still_open(link: Link, *, within: float = 5.0) -> float:
    """What is said over the connection comes back, within `within` seconds. Returns how long it took.

    After a cut that was healed, TCP takes its time: it repeats what was lost after 0.2 s, 0.4 s, 0.8 s and so on.
    """
    began = time.monotonic()
    source = link.path.source
    if Service.parse(link.path.service).protocol == "tcp":
        result = source.ask("tcp.echo", link=link.number, text=fresh_word("echo"), timeout=within)
        fine = result["outcome"] == "heard"
    else:
        result = {"outcome": "timed out"}
        fine = False
        while not fine and (left := began + within - time.monotonic()) > 0:  # nobody but us repeats a lost datagram
            timeout = min(1.0, left)
            result = source.ask("udp.ask", link=link.number, text=fresh_word("echo"), timeout=timeout)
            fine = result["outcome"] == "answered"
    if not fine:
        raise AssertionError(f"{link}: should still be open, but in {within:.1f} s: {result['outcome']}")
    return time.monotonic() - began


def now_cut(link: Link, *, watch: float = 0.6) -> None:
    """Nothing said over the connection arrives any more, in either direction, watched for `watch` seconds."""
    passed = _passes(link, watch)
    if passed:
        raise AssertionError(f"{link}: should be cut, but still passes {' and '.join(passed)}")


def _passes(link: Link, watch: float) -> list[str]:
    """The directions in which words still pass."""
    a, b = link.path.source, link.path.target
    assert isinstance(b, Guest)
    there, back = fresh_word("there"), fresh_word("back")
    passed = []
    if Service.parse(link.path.service).protocol == "udp":
        answer = a.ask("udp.ask", link=link.number, text=there, timeout=watch)
        if b.ask("udp.asked", text=there)["heard"]:
            passed.append(f"from {a.name} to {b.name}")
        if answer["outcome"] == "answered":
            passed.append(f"from {b.name} to {a.name}")
        return passed
    # Both say something first, then both listen: the time is watched once.
    a.ask("tcp.say", link=link.number, text=there)
    far = link.far_number if link.far_number is not None else -1
    b.ask("tcp.say", link=far, text=back)
    at_b = b.begin("tcp.hear", link=far, text=there, timeout=watch)
    at_a = a.begin("tcp.hear", link=link.number, text=back, timeout=watch)
    if b.answer(at_b, watch)["outcome"] == "heard":
        passed.append(f"from {a.name} to {b.name}")
    if a.answer(at_a, watch)["outcome"] == "heard":
        passed.append(f"from {b.name} to {a.name}")
    return passed
