"""What somebody has collected of a bridge with OVS's own tools, read from text: for who is not on the machine.

    ovs-ofctl -O OpenFlow14 show|dump-flows|dump-aggregate|dump-meters|meter-features BRIDGE
    ovsdb-client --format=json dump
    echo time=$(date +%s)

one behind the other, in any order. A dump has no end that could be told from a cut, so `dump-aggregate` must say as
many flows as there are; a line that is none of these is an error, not something to pass over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from policy.flows.meters import HIGHEST_METER, Meter
from policy.verify.flow_words import BadLine, stats_entry
from policy.verify.openflow import Told
from policy.verify.ovsdb import Unreadable, row_columns
from topology.rows import COLUMNS, FIELDS, Database, Row, make_row

_HEAD = re.compile(r"(OFP[A-Z]+_[A-Z_]+?)(?: reply|) \(OF1\.([0-9])\) \(xid=0x[0-9a-f]+\):\s?(.*)")
_COUNT = re.compile(r"packet_count=\d+ byte_count=\d+ flow_count=(\d+)")
_DPID = re.compile(r"dpid:([0-9a-f]{16})")
_METER = re.compile(r"meter=(\d+) ([a-z_ ]*)bands=")
_BAND = re.compile(r"type=([a-z_]+) rate=(\d+)(?: burst_size=(\d+))?(.*)")
_MOST = re.compile(r"max_meter:(\d+)\b.*")
_TIME = re.compile(r"time=(\d{1,12})")


@dataclass(frozen=True, slots=True)
class Evidence:
    """``told`` None: the rows of another switch alone. ``at``: when it was collected, Unix seconds, if it says so."""

    name: str
    database: Database
    told: Told | None
    at: int | None


def read_evidence(name: str, lines: Iterable[str]) -> Evidence:
    """Read what was collected. Raises `Unreadable` for whatever is missing, cut short or not understood."""
    reader = _Reader()
    for number, line in enumerate(lines, 1):
        if not (text := line.rstrip("\r\n")).strip():
            continue
        try:
            reader.take(text)
        except (BadLine, ValueError, TypeError, KeyError, IndexError, RecursionError):
            shown = text.strip()[:80].encode("unicode_escape").decode()
            raise Unreadable(f"{name}:{number}: not understood: {shown}") from None
        except Unreadable as error:
            raise Unreadable(f"{name}:{number}: {error}") from None
    try:
        return Evidence(name, reader.database(name), reader.told(), reader.time)
    except Unreadable as error:
        raise Unreadable(f"{name}: {error}") from None


@dataclass
class _Reader:
    time: int | None = None
    _section: str = ""
    _rows: dict[str, Mapping[str, Row]] = field(default_factory=dict)
    _flows: list[bytes] = field(default_factory=list)
    _meters: dict[int, Meter | None] = field(default_factory=dict)
    _bands: list[tuple[str, int, int | None, str]] = field(default_factory=list)
    _meter: tuple[int, frozenset[str]] | None = None
    # What `show`, `dump-aggregate` and `meter-features` say, each once.
    _once: dict[str, int] = field(default_factory=dict)
    _features: set[str] = field(default_factory=set)

    def take(self, line: str) -> None:
        if line.startswith("{"):
            self._table(json.loads(line))
        elif (found := _TIME.fullmatch(line)) is not None and self.time is None:
            self.time = int(found[1])
        elif (found := _HEAD.fullmatch(line)) is not None:
            self._end_meter()
            if int(found[2]) < 4:
                raise Unreadable("collected without '-O OpenFlow14': this does not show all of a flow")
            self._section = found[1]
            if found[3]:
                self._word(found[3])
        else:
            self._word(line)

    def _word(self, line: str) -> None:
        words: Mapping[str, Callable[[str], None]] = {
            "OFPST_FLOW": lambda line: self._flows.append(stats_entry(line)),
            "OFPST_AGGREGATE": lambda line: self._note("flows", _COUNT, line),
            "OFPST_METER_CONFIG": self._meter_line,
            "OFPST_METER_FEATURES": self._feature,
            "OFPT_FEATURES_REPLY": lambda line: self._note("dpid", _DPID, line) if line.startswith("dpid:") else None,
            # What `show` tells besides.
            "OFPST_PORT_DESC": lambda line: None,
            "OFPT_GET_CONFIG_REPLY": lambda line: None,
        }
        words[self._section](line)

    def _note(self, what: str, pattern: re.Pattern[str], line: str) -> None:
        found = pattern.fullmatch(line.strip())
        if found is None:
            raise BadLine
        if what in self._once:
            raise Unreadable("told twice: collect one bridge in one file")
        self._once[what] = int(found[1], 16 if what == "dpid" else 10)

    def _meter_line(self, line: str) -> None:
        if (found := _METER.fullmatch(line.strip())) is not None:
            self._end_meter()
            self._meter = int(found[1]), frozenset(found[2].split())
        elif (band := _BAND.fullmatch(line.strip())) is not None and self._meter is not None:
            self._bands.append((band[1], int(band[2]), int(band[3]) if band[3] else None, band[4]))
        else:
            raise BadLine

    def _end_meter(self) -> None:
        if self._meter is None:
            return
        number, flags = self._meter
        known = None
        if flags == {"pktps", "burst", "stats"} and len(self._bands) == 1:
            kind, rate, burst, rest = self._bands[0]
            known = Meter(number, rate, burst) if kind == "drop" and burst is not None and not rest else None
        self._meters[number] = known
        self._meter, self._bands = None, []

    def _feature(self, line: str) -> None:
        text = line.strip()
        if text.startswith("max_meter:"):
            found = _MOST.fullmatch(text)
            if found is None:
                raise BadLine
            self._once["meters"] = int(found[1])
        elif text.startswith(("band_types:", "capabilities:")):
            self._features |= {*text.split()[1:]}
        else:
            raise BadLine

    def _table(self, told: Any) -> None:  # noqa: ANN401 (JSON)
        """A table as `ovsdb-client` dumps it."""
        table = told["caption"].removesuffix(" table")
        if table not in COLUMNS:
            return
        if table in self._rows:
            raise Unreadable(f"table {table} is there twice: collect one switch in one file")
        places = [*map(told["headings"].index, ("_uuid", *COLUMNS[table]))]
        rows: dict[str, Row] = {}
        for line in told["data"]:
            names = ("_uuid", *COLUMNS[table])
            uuid, columns = row_columns({name: line[place] for name, place in zip(names, places, strict=True)})
            rows[uuid] = make_row(table, uuid, columns)
        self._rows[table] = rows

    def database(self, name: str) -> Database:
        """The rows. Raises `Unreadable` if a table is missing."""
        for table in COLUMNS:
            if table not in self._rows:
                raise Unreadable(f"table {table} of OVSDB is missing: 'ovsdb-client --format=json dump' tells it")
        tables: dict[str, Any] = {FIELDS[table]: rows for table, rows in self._rows.items()}
        return Database(f"file:{name}", **tables)

    def told(self) -> Told | None:
        """What the bridge holds; None if nothing is told of any. Raises `Unreadable` if something is missing."""
        self._end_meter()
        if not self._flows and not self._once and not self._meters:
            return None
        for what, command in (("dpid", "show"), ("flows", "dump-aggregate"), ("meters", "meter-features")):
            if what not in self._once:
                raise Unreadable(f"what 'ovs-ofctl {command}' tells is missing")
        if len(self._flows) != self._once["flows"]:
            count = self._once["flows"]
            raise Unreadable(f"{len(self._flows)} flows of {count}: cut short, or changed meanwhile; collect it again")
        metered = self._once["meters"] >= HIGHEST_METER and {"drop", "pktps"} <= self._features
        return Told(self._once["dpid"], tuple(self._flows), self._meters, metered)
