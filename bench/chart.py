"""The comparison as a picture: for each measure a group of bars, ours and OVN's, at each number of vNICs; PNG.

Drawn with Pillow alone. Lengths are logarithmic, so that a factor of ten is the same length everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.rows import CONTROL, PLANE, shown, value_of

COLOURS = {"bridge": "#9aa0a6", "ovn": "#d98324", "portcullis": "#2a6fb0"}
WIDTH, LABELS, FIGURES = 1200, 430, 130
BAR, GAP, MARGIN = 16, 14, 24
# Rows that say much by themselves.
CHOSEN = (
    "flows of the bridge",
    "all ports at once, until enforced",
    "cold start, until all enforced",
    "control plane, most memory",
    "one rule changed, median",
    "label or group member, median",
    "address added, median",
    "port up, median",
    "rule gone, until TCP is cut",
    "passes of the datapath per packet",
    "switch processor per 64-byte packet, quietest",
    "switch processor per TCP connection, quietest",
)


@dataclass(frozen=True)
class Bar:
    """One bar: whose, how long (0 to 1), and what is written at its end."""

    peer: str
    length: float
    text: str


def groups(result: Mapping[str, Any]) -> Iterator[tuple[str, list[Bar]]]:
    """Titles with their bars. The longest of a measure, over all sizes, is 1; a thousandth of it and less is 0."""
    rows = {row.title: row for row in (*CONTROL, *PLANE)}
    for title in CHOSEN:
        row = rows[title]
        values = {
            (int(size), name): value
            for size, peers in result["sizes"].items()
            for name, found in peers.items()
            if isinstance(value := value_of(row, {**found, "vnics": int(size)}), int | float)
        }
        longest = max(values.values(), default=0)
        for size in sorted({size for size, _ in values}):
            bars = [
                Bar(name, scaled(value, longest), shown(value, row.unit).replace("µ", "u"))  # the font has no mu
                for (of, name), value in values.items()
                if of == size
            ]
            yield f"{title}, {size:,} vNICs", bars


def scaled(value: float, longest: float) -> float:
    """A length from 0 to 1, three powers of ten."""
    if value <= 0 or longest <= 0:
        return 0.0
    return max(0.0, 1 + math.log10(value / longest) / 3)


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Write the picture."""
    from PIL import Image, ImageDraw, ImageFont  # only `make bench` installs it

    every = list(groups(result))
    height = 2 * MARGIN + 40 + sum(len(bars) * BAR + GAP for _, bars in every)
    image = Image.new("RGB", (WIDTH, height), "white")
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(13)
    x, y = MARGIN, MARGIN
    for peer, colour in COLOURS.items():
        pen.rectangle((x, y, x + 12, y + 12), fill=colour)
        pen.text((x + 18, y - 2), peer, fill="black", font=font)
        x += 110
    pen.text((x, y - 2), "shorter is better; lengths are logarithmic", fill="black", font=font)
    y += 40
    most = WIDTH - 2 * MARGIN - LABELS - FIGURES
    for title, bars in every:
        pen.text((MARGIN, y + (len(bars) * BAR - 16) / 2), title, fill="black", font=font)
        for bar in bars:
            left, right = MARGIN + LABELS, MARGIN + LABELS + max(2, round(bar.length * most))
            pen.rectangle((left, y + 1, right, y + BAR - 2), fill=COLOURS[bar.peer])
            pen.text((right + 6, y - 1), bar.text, fill="black", font=font)
            y += BAR
        y += GAP
    image.save(path)
