"""Where the controller listens and what it connects to, looked at before it starts: a mistake is told in one line.

Imports nothing of the controller's, so that `portcullis run` and the controller itself can ask alike.
"""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address

REMOTES = "unix:FILE, tcp:HOST:PORT or ssl:HOST:PORT"


def is_port(text: str) -> bool:
    """True for a port's number, 1 to 65535, in decimal digits."""
    return text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= 65535


def is_host(text: str) -> bool:
    """True for what can be an address, or a name that a name server can be asked for."""
    if ":" in text:
        try:
            return ip_address(text).version == 6
        except ValueError:
            return False
    labels = text.removesuffix(".").split(".")
    return text.isascii() and text.isprintable() and " " not in text and all(0 < len(label) <= 63 for label in labels)


def remote_problem(text: str) -> str | None:
    """What is wrong with the name of an OVSDB server; None: nothing."""
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest and rest.isprintable() and "," not in rest:
        return None
    host, colon, port = rest.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if kind in ("tcp", "ssl") and colon and is_host(host) and "," not in host and is_port(port):
        return None
    return f"{text!r} is not an OVSDB server like {REMOTES}"


def listening_problem(address: str, port: int) -> str | None:
    """Why nobody can listen there now; None: it can be done.

    The controller's own sockets share a port with whoever else has asked to share it (SO_REUSEPORT): two controllers
    would each get some of the bridges. Here that is a failure, as is an address that this machine does not have.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except (OSError, UnicodeError) as error:
        number = error.errno if isinstance(error, OSError) else None
        why = os.strerror(number) if number is not None and number > 0 else str(error)
        return f"cannot listen at {where}: {why}"
    return None
