"""What became of each attack in this run, kept for `make attack` to write down."""

from __future__ import annotations

import json
from pathlib import Path

STOPPED, KNOWN, LOST, FAILED = "stopped", "gets past, as known", "is lost, as known", "**gets past**"

_results: dict[str, dict[str, str]] = {}


def note(family: str, attack: str, result: str) -> None:
    """Remember what became of an attack. Whatever is noted last holds: begin with the worst."""
    _results.setdefault(family, {})[attack] = result


def write(path: Path) -> None:
    """Write down all that has been noted: results by family and attack, as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(_results, indent=1) + "\n")


def read(path: Path) -> dict[str, dict[str, str]]:
    """What `write` has written."""
    return {str(family): dict(results) for family, results in json.loads(path.read_text()).items()}
