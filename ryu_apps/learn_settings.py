"""How the operator says from where vNICs learn their addresses."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from topology.claims import quote
from topology.learned import FIRST_USE, LEASES, MAX_FIRST_USE, Source

# What `--learn` may say, and what it means.
WORDS: Mapping[str, frozenset[Source]] = {"dhcp": LEASES, "first-use": FIRST_USE, "none": frozenset()}


def sources_of(words: Collection[str]) -> frozenset[Source]:
    """From where addresses are learned. Raises ``ValueError`` for unknown words, and for ``none`` beside others."""
    unknown = sorted(set(words) - WORDS.keys())
    if unknown:
        raise ValueError(f"{quote(unknown[0])} is not one of {', '.join(WORDS)}")
    if "none" in words and len(set(words)) > 1:
        raise ValueError("none stands alone")
    return frozenset[Source]().union(*(WORDS[word] for word in words))


@dataclass(frozen=True, slots=True)
class LearnSettings:
    """``learn``: some of `WORDS`; ``first_use``: how many addresses of each family a vNIC may have by first use.

    Raises ``ValueError`` for what `sources_of` does not take, and for a number that is not 1 to `MAX_FIRST_USE`.
    """

    learn: tuple[str, ...] = ("dhcp",)
    first_use: int = 2

    def __post_init__(self) -> None:
        sources_of(self.learn)
        if not 1 <= self.first_use <= MAX_FIRST_USE:
            raise ValueError(f"{self.first_use} is not a number from 1 to {MAX_FIRST_USE}")
