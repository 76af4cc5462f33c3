"""The policy that an import makes, before it is text: VMs, and policies of rules between selectors and CIDRs."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace

from policy.model import Tier, Verdict
from policy.selectors import MAX_LENGTH, SelectorError, parse_selector
from topology.inventory import Place

MAX_NAME = 63
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Who:
    """A group without a name: a selector, or a CIDR less exceptions."""

    match: str | None = None
    cidr: str | None = None
    excepts: tuple[str, ...] = ()

    def narrowed(self, test: str) -> Who:
        """Those of a selector's VMs that pass another test, too."""
        return replace(self, match=f"{self.match} and {test}")


# None is everybody.
Whos = tuple[Who, ...] | None


@dataclass(frozen=True, slots=True)
class DraftRule:
    """``inward``: enforced where connections arrive (`direction: in`), else where they leave."""

    name: str
    verdict: Verdict
    terms: tuple[str, ...]
    sources: Whos
    destinations: Whos
    inward: bool


@dataclass(frozen=True, slots=True)
class DraftPolicy:
    """``origin``: the object that it comes from, and its place; empty for what is the same in every cluster."""

    name: str
    tier: Tier
    order: int
    rules: tuple[DraftRule, ...]
    origin: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class DraftVm:
    name: str
    labels: dict[str, str]
    addresses: tuple[str, ...]
    origin: str


@dataclass(slots=True)
class Draft:
    vms: list[DraftVm] = field(default_factory=list)
    policies: list[DraftPolicy] = field(default_factory=list)


def selected(tests: list[str]) -> Who:
    """Who passes all these tests of a selector. Raises ``ValueError`` where the selector is none of ours."""
    match = " and ".join(tests)
    if len(match) > MAX_LENGTH:
        raise ValueError(f"a selector has at most {MAX_LENGTH:,} characters here")
    try:
        parse_selector(match)
    except SelectorError as error:
        raise ValueError(f"cannot be said in a selector here: {error}") from None
    return Who(match)


def short_name(name: str) -> str:
    """A name for a VM, policy or rule: Kubernetes' own where it fits, else its beginning and a digest."""
    if len(name) <= MAX_NAME and _NAME.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode(errors="backslashreplace")).hexdigest()[:10]
    begin = re.sub(r"[^A-Za-z0-9_.-]", "-", name)[: MAX_NAME - 11].lstrip("_.-")
    return f"{begin}-{digest}" if begin else digest
