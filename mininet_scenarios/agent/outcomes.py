"""What a network did to us, in words. The same words for TCP, UDP and ICMP."""

import asyncio
import errno

CONNECTED = "connected"
ANSWERED = "answered"
TIMED_OUT = "timed out"
REFUSED = "refused"
UNREACHABLE = "unreachable"
RESET = "reset"
CLOSED = "closed"

_BY_ERRNO = {
    errno.ECONNREFUSED: REFUSED,
    errno.ECONNRESET: RESET,
    errno.EPIPE: CLOSED,
    errno.ETIMEDOUT: TIMED_OUT,
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
    errno.EHOSTDOWN: UNREACHABLE,
    # An "administratively prohibited" is EHOSTUNREACH over IPv4 and EACCES over IPv6.
    errno.EACCES: UNREACHABLE,
    errno.EPERM: UNREACHABLE,
}


def outcome_of(error: OSError) -> dict[str, object]:
    """The outcome of a failed try: our word, and the kernel's own for whoever reads closely."""
    if isinstance(error, asyncio.TimeoutError):
        return {"outcome": TIMED_OUT, "why": "no answer"}
    number = error.errno or 0
    return {"outcome": _BY_ERRNO.get(number, "failed"), "why": errno.errorcode.get(number, str(error))}
