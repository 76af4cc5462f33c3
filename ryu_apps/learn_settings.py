"""How the operator says from where vNICs learn their addresses."""

from __future__ import annotations

from dataclasses import dataclass

from topology.learned import MAX_FIRST_USE, sources_of


@dataclass(frozen=True, slots=True)
class LearnSettings:
    """``learn``: some of `topology.learned.WORDS`. ``first_use``: how many addresses of each family a vNIC may have so.

    Raises ``ValueError`` for what `sources_of` does not take, and for a number that is not 1 to `MAX_FIRST_USE`.
    """

    learn: tuple[str, ...] = ("dhcp",)
    first_use: int = 2

    def __post_init__(self) -> None:
        sources_of(self.learn)
        if not 1 <= self.first_use <= MAX_FIRST_USE:
            raise ValueError(f"{self.first_use} is not a number from 1 to {MAX_FIRST_USE}")
