"""Asks a running controller for its pages: HTTP without proxies or redirects, bounded in time and size."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from policy.commands.output import NoAnswer
from policy.plain import clean

DEFAULT_URL = "http://127.0.0.1:8080"
MAX_ANSWER = 64 * 2**20  # bytes
# Seconds that a controller at work may take for an answer that needs no waiting.
PATIENCE = 10.0
_CHUNK = 2**16

Json = dict[str, Any]
_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Controller:
    """Where a controller's pages are."""

    url: str
    host: str
    port: int
    secure: bool
    path: str

    def get(self, page: str, *, seconds: float = PATIENCE) -> Json:
        """A page of the controller. Raises `Unreachable` if nobody answers, `NoAnswer` if the answer is of no use."""
        deadline = time.monotonic() + seconds
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        connection = kind(self.host, self.port, timeout=seconds)
        try:
            connection.request("GET", self.path + page, headers={"Accept": "application/json"})
            response = connection.getresponse()
            body = _body(response, deadline)
        except (OSError, UnicodeError) as error:  # UnicodeError: a host name that no name server could be asked for
            told = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unreachable(self.url, told) from None
        except http.client.HTTPException as error:
            raise self._stranger(f"{type(error).__name__}: {error}") from None
        finally:
            connection.close()
        return self._read(response.status, body)

    def _read(self, status: int, body: bytes) -> Json:
        if len(body) > MAX_ANSWER:
            raise NoAnswer(f"the answer of {self.url} is larger than {MAX_ANSWER // 2**20} MiB")
        if status != 200:
            raise self._stranger(f"HTTP status {status}")
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            raise self._stranger("not JSON") from None
        if not isinstance(value, dict):
            raise self._stranger("not a JSON object")
        return value

    def _stranger(self, what: str) -> NoAnswer:
        return NoAnswer(f"what answers at {self.url} is not Portcullis, or another version of it: {what[:200]}")


class Unreachable(NoAnswer):
    """Nobody answers at the URL."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            f"no controller answers at {url}: {why}. "
            "Start one with 'portcullis run DIR', or say where it is with --url."
        )


def _body(response: http.client.HTTPResponse, deadline: float) -> bytes:
    """The answer's body, or one chunk more than it may have. Raises ``TimeoutError`` for one that drips too slowly."""
    body = bytearray()
    while chunk := response.read1(_CHUNK):
        body += chunk
        if len(body) > MAX_ANSWER:
            break
        if time.monotonic() > deadline:
            raise TimeoutError("the answer takes too long")
    return bytes(body)


class _Url(click.ParamType[Controller]):
    """The URL of a controller's status pages."""

    name = "url"

    def convert(self, value: str | Controller, param: click.Parameter | None, ctx: click.Context | None) -> Controller:
        if isinstance(value, Controller):
            return value
        try:
            parts = urlsplit(value)
            port = parts.port
        except ValueError as error:
            self.fail(f"{clean(value)!r} is not a URL: {error}", param, ctx)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            self.fail(f"{clean(value)!r} is not a URL like {DEFAULT_URL}", param, ctx)
        if not value.isascii() or not value.isprintable() or " " in value:
            self.fail(f"{clean(value)!r} is not a URL: it holds characters that no URL has", param, ctx)
        secure = parts.scheme == "https"
        url = value.rstrip("/")
        return Controller(url, parts.hostname, port or (443 if secure else 80), secure, parts.path.rstrip("/"))


def url_option(command: _Command) -> _Command:
    """Adds the option --url; the command gets a `Controller` as ``url``."""
    return click.option(
        "--url",
        type=_Url(),
        default=DEFAULT_URL,
        show_default=True,
        envvar="PORTCULLIS_URL",
        show_envvar=True,
        help="Where the controller's status pages are.",
    )(command)


# What a page holds is looked at with care: another version may say more, or less.


def rows(value: Json, key: str) -> list[Json]:
    """A list of objects in an answer; anything else there is left out."""
    found = value.get(key)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []


def text(value: Json, key: str, missing: str = "-") -> str:
    """One value as text for people."""
    found = value.get(key)
    return missing if found is None else clean(str(found))


def texts(value: Json, key: str) -> list[str]:
    """A list of texts in an answer."""
    found = value.get(key)
    return [clean(str(item)) for item in found] if isinstance(found, list) else []


def addresses(value: Json) -> list[str]:
    """The addresses of a vNIC, those that are whole hosts without their length."""
    return [told.removesuffix("/128" if ":" in told else "/32") for told in texts(value, "addresses")]
