"""What somebody else has done to a bridge: what it holds, compared with what we had put there. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from policy.flows.flow import Flow, Key
from policy.flows.meters import Meter
from policy.flows.text import flow_text
from policy.flows.wire import Installed


@dataclass(frozen=True, slots=True)
class Drift:
    """How many flows and meters are gone, are others than they were, or have come, and one of them: in words, and its
    cookie if it is a flow."""

    missing: int = 0
    altered: int = 0
    added: int = 0
    sample: str = ""
    cookie: int | None = None

    def __len__(self) -> int:
        return self.missing + self.altered + self.added


Meters = Mapping[int, Meter | None]


def drift(
    known: Mapping[Key, Flow],
    ours: Mapping[Key, Flow],
    foreign: Sequence[Installed],
    known_meters: Meters,
    meters: Meters,
) -> Drift:
    """Compare what we know to have put there with what is there now: flows that are ``ours`` by their cookies and
    ``foreign`` ones, and meters."""
    # A foreign flow with the key of one of ours stands in its place.
    in_place = {entry.flow.key for entry in foreign if entry.flow is not None and entry.flow.key in known}
    altered = {key for key, flow in ours.items() if key in known and known[key] != flow} | in_place
    missing = known.keys() - ours.keys() - in_place
    added = ours.keys() - known.keys()
    others = [entry for entry in foreign if entry.flow is None or entry.flow.key not in known]
    numbers = altered_meters(known_meters, meters)
    gone, new = numbers - meters.keys(), numbers - known_meters.keys()
    sample, cookie = _sample(known, ours, missing, altered, others)
    return Drift(
        len(missing) + len(gone),
        len(altered) + len(numbers - gone - new),
        len(added) + len(others) + len(new),
        sample or (f"meter {min(numbers)}" if numbers else ""),
        cookie,
    )


def altered_meters(known: Meters, meters: Meters) -> set[int]:
    """The numbers of meters that are not as we know them."""
    return {number for number in {*known, *meters} if known.get(number) != meters.get(number)}


def _sample(
    known: Mapping[Key, Flow],
    ours: Mapping[Key, Flow],
    missing: set[Key],
    altered: set[Key],
    others: Sequence[Installed],
) -> tuple[str, int | None]:
    """The worst first: what was added may open, what is missing mostly shuts."""
    for entry in others:
        what = flow_text(entry.flow) if entry.flow is not None else f"table={entry.table},priority={entry.priority}"
        return f"added: {what}", entry.cookie
    for kind, keys, flows in (("added", ours.keys() - known.keys(), ours), ("altered", altered, known)):
        if keys:
            flow = flows[min(keys, key=repr)]
            return f"{kind}: {flow_text(flow)}", flow.cookie
    if not missing:
        return "", None
    flow = known[min(missing, key=repr)]
    return f"missing: {flow_text(flow)}", flow.cookie
