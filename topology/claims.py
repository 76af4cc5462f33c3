"""What OVSDB says about a vNIC in its interface's external_ids: parsed, checked and bounded, not yet believed.

The keys are those of OVS's "Integration Guide for Centralized Control" and ovs-vswitchd.conf.db(5), table Interface
(``iface-id``, ``vm-id``, ``attached-mac``, ``iface-status``; ``xs-vif-uuid`` and ``xs-vm-uuid`` of XAPI), and ours
(``vm-name``, ``tenant``, ``labels``, ``addresses``). A value that cannot be read is kept as a problem of its key; who
needed the value decides what that means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from topology.addresses import Prefix, parse_mac, parse_prefix
from topology.rows import InterfaceRow

T = TypeVar("T")

MAX_ID = 255
MAX_LABELS = 64
MAX_LABEL_KEY = 128
MAX_LABEL_VALUE = 256
MAX_ADDRESSES = 64

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_LABEL_KEY = re.compile(rf"[A-Za-z0-9_./-]{{1,{MAX_LABEL_KEY}}}")
_RESERVED_NAMES = frozenset({"any", "all", "provider"})
# Built-in attributes of the policy language: a label of such a name could pose as one.
_RESERVED_LABELS = ("vm.", "vnic.")


@dataclass(frozen=True, slots=True)
class Claims:
    """One vNIC as OVSDB has it. ``iface_id`` is as written, even if there is a problem with it.

    ``problems`` maps a key of external_ids to what is wrong with its value; the field is then as if absent.
    """

    iface_id: str
    vm_id: str | None = None
    mac: str | None = None
    vm_name: str | None = None
    tenant: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    addresses: tuple[Prefix, ...] = ()
    inactive: bool = False
    problems: Mapping[str, str] = field(default_factory=dict)


def quote(text: str) -> str:
    """Text from outside for a message: on one line, in quotes, cut to 80 characters."""
    return repr(text if len(text) <= 80 else text[:79] + "…")


def shown(text: str) -> str:
    """A name from outside for a message: as it is, or quoted if it is long or not printable."""
    return text if len(text) <= 80 and text.isprintable() else quote(text)


def stated_iface_id(interface: InterfaceRow) -> str | None:
    """The iface-id, or XAPI's ``xs-vif-uuid`` where there is none; None: this is not a vNIC's interface."""
    ids = interface.external_ids
    return ids.get("iface-id") or ids.get("xs-vif-uuid") or None


def read_claims(interface: InterfaceRow, iface_id: str) -> Claims:
    """What ``interface`` says about the vNIC ``iface_id`` (see `stated_iface_id`)."""
    ids = interface.external_ids
    problems: dict[str, str] = {}

    def read(key: str, parse: Callable[[str], T]) -> T | None:
        text = ids.get(key)
        if not text:
            return None
        try:
            return parse(text)
        except ValueError as error:
            problems[key] = f"external_ids:{key}: {error}"
            return None

    read("iface-id" if ids.get("iface-id") else "xs-vif-uuid", _parse_id)
    return Claims(
        iface_id,
        vm_id=read("vm-id" if ids.get("vm-id") else "xs-vm-uuid", _parse_id),
        mac=read("attached-mac", _parse_mac),
        vm_name=read("vm-name", _parse_name),
        tenant=read("tenant", _parse_name),
        labels=read("labels", parse_labels) or {},
        addresses=read("addresses", parse_addresses) or (),
        inactive=read("iface-status", _parse_inactive) or False,
        problems=problems,
    )


@lru_cache(maxsize=4096)
def parse_labels(text: str) -> Mapping[str, str]:
    """``role=web,env=prod`` as a mapping. Raises ``ValueError``. The mapping is shared: do not change it."""
    parts = [part for part in (part.strip() for part in text.split(",", MAX_LABELS + 1)) if part]
    if len(parts) > MAX_LABELS:
        raise ValueError(f"more than {MAX_LABELS} labels")
    labels: dict[str, str] = {}
    for part in parts:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not _LABEL_KEY.fullmatch(key):
            raise ValueError(f"{quote(part)} is not a label like role=web")
        if key.startswith(_RESERVED_LABELS):
            raise ValueError(f"label {key} has the name of a built-in attribute")
        if len(value) > MAX_LABEL_VALUE or not value.isprintable():
            raise ValueError(f"the value of label {key} is not printable or longer than {MAX_LABEL_VALUE}")
        if labels.setdefault(key, value) != value:
            raise ValueError(f"label {key} is stated twice, as {quote(labels[key])} and {quote(value)}")
    return labels


@lru_cache(maxsize=16384)
def parse_addresses(text: str) -> tuple[Prefix, ...]:
    """Addresses and CIDRs separated by commas, without repetition. Raises ``ValueError``."""
    parts = [part for part in (part.strip() for part in text.split(",", MAX_ADDRESSES + 1)) if part]
    if len(parts) > MAX_ADDRESSES:
        raise ValueError(f"more than {MAX_ADDRESSES} addresses")
    if any(len(part) > MAX_ID for part in parts):
        raise ValueError(f"an address of more than {MAX_ID} characters")
    return tuple(dict.fromkeys(parse_prefix(part) for part in parts))


@lru_cache(maxsize=16384)
def _parse_mac(text: str) -> str:
    if len(text) > MAX_ID:
        raise ValueError(f"longer than {MAX_ID} characters")
    return parse_mac(text)


def _parse_id(text: str) -> str:
    if len(text) > MAX_ID:
        raise ValueError(f"longer than {MAX_ID} characters")
    if not text.isprintable() or text != text.strip():
        raise ValueError(f"{quote(text)} has characters that are not printable, or blanks at its ends")
    return text


def _parse_name(text: str) -> str:
    if not _NAME.fullmatch(text) or text in _RESERVED_NAMES:
        raise ValueError(f"{quote(text)} is not a name (1 to 63 letters, digits, '_', '-', '.'; not a reserved word)")
    return text


def _parse_inactive(text: str) -> bool:
    if text not in ("active", "inactive"):
        raise ValueError(f"{quote(text)} is neither active nor inactive")
    return text == "inactive"
