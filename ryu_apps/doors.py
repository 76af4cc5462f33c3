"""The doors by which others come in: how many may, and that no one too many shuts a door for good.

Ryu ends a server at the first connection that it cannot accept, says so in the log, and carries on, deaf: a thousand
idle connections to the status page were enough that no switch came back. So there are as many open files as the machine
grants, HTTP has its own bound, and a server that is out of them waits and goes on.
"""

from __future__ import annotations

import errno
import logging
import resource
from collections.abc import Callable
from typing import Any

import eventlet
import eventlet.wsgi
from ryu.lib import hub

LOG = logging.getLogger(__name__)

# HTTP connections at once, each with a request or waiting for the next one; those beyond wait to be accepted.
MAX_HTTP = 100
# Seconds that an HTTP client may take to send its (next) request. A request that waits for a change is no such time.
HTTP_IDLE = 30.0
# Seconds until a server that could accept no connection tries again.
PAUSE = 0.5
# What others do to a connection that is about to be accepted, and what it takes to accept one (accept(2)).
_PASSING = frozenset(
    {
        *(errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM),
        *(errno.ECONNABORTED, errno.ECONNRESET, errno.EPROTO, errno.EPERM),
    }
)


def keep_open() -> None:
    """Has Ryu's servers, which are not made yet, serve as this page says; as many files as the machine grants us."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    hub.StreamServer.serve_forever = _serve_streams
    hub.WSGIServer.serve_forever = _serve_http


def accepting(accept: Callable[[], Any]) -> Any:  # noqa: ANN401 (a socket and an address)
    """What ``accept`` returns, as soon as it does. Raises ``OSError`` for what time does not heal."""
    told = False
    while True:
        try:
            return accept()
        except OSError as error:
            if error.errno not in _PASSING:
                raise
            if not told:
                LOG.error("no connection can be accepted: %s", error.strerror)
                told = True
            hub.sleep(PAUSE)


def _serve_streams(server: Any) -> None:  # noqa: ANN401 (Ryu's)
    while True:
        hub.spawn(server.handle, *accepting(server.server.accept))


class _Door:
    """A listening socket that accepts with patience; everything else is the socket's."""

    def __init__(self, listening: Any) -> None:  # noqa: ANN401 (eventlet's)
        self._listening = listening

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._listening, name)

    def accept(self) -> Any:  # noqa: ANN401
        return accepting(self._listening.accept)


def _serve_http(server: Any) -> None:  # noqa: ANN401 (Ryu's)
    # No line for each request: it would have the client's own text in it.
    eventlet.wsgi.server(
        _Door(server.server), server.handle, LOG,
        max_size=MAX_HTTP, socket_timeout=HTTP_IDLE, log_output=False, debug=False,
    )  # fmt: skip
