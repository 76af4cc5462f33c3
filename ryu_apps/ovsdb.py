"""A client of one OVSDB server: tells what the database holds, and writes the little that is ours to write.

One green thread per remote runs python-ovs' IDL. It sleeps in ``select`` until the socket, a request of ours or one of
the IDL's timers (backoff, keepalive) wakes it; nothing is polled. What it learns goes to ``emit`` as facts, which must
do no more than put them into a queue. What the rows mean is not decided here.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ovs.db.idl
import ovs.jsonrpc
import ovs.poller
import ovs.stream
from eventlet import patcher
from ryu.lib import hub

from policy import collector
from ryu_apps.ovsdb_facts import OvsdbFact, OvsdbLock, OvsdbLost, OvsdbSnapshot, OvsdbUpdated, OvsdbWriteFailed
from ryu_apps.ovsdb_replica import Replica
from ryu_apps.settling import Settling
from topology.breath import breathing
from topology.rows import LEARNED_KEY, LIMIT_KEY, ZONE_KEY, Database, apply_changes, kept_at

LOG = logging.getLogger(__name__)

# Seconds. An OVSDB server answers a monitor request at once; whoever does not is not one, or not that database's.
SYNC_TIMEOUT = 30.0
WRITE_TIMEOUT = 10.0
PROBE_INTERVAL = 5.0
# Backoff after a failure of the client itself (python-ovs has its own, 1 to 8 s, for connections).
FIRST_PAUSE, LAST_PAUSE = 1.0, 8.0
# Characters of a write that are told when it fails.
MAX_TOLD = 400

# The unpatched one, for the pipe that wakes the client: eventlet's `write` lets other green threads run before it
# writes, and what they do may end the client and close the pipe, whose number another file may have by then.
_os: Any = patcher.original("os")

Emit = Callable[[OvsdbFact], None]


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Files for ``ssl:`` remotes: our private key, our certificate, and the authority that signed the servers'."""

    private_key: str
    certificate: str
    authority: str


def use_tls(files: TlsFiles) -> None:
    """Sets the files for all ``ssl:`` remotes of this process (python-ovs knows only one set)."""
    ovs.stream.Stream.ssl_set_private_key_file(files.private_key)
    ovs.stream.Stream.ssl_set_certificate_file(files.certificate)
    ovs.stream.Stream.ssl_set_ca_cert_file(files.authority)


@dataclass(slots=True)
class _Write:
    """A write on its way. ``fill`` puts the changes into the open transaction and returns what has no row any more."""

    what: str
    fill: Callable[[Replica], list[str]]
    deadline: float = 0.0
    transaction: ovs.db.idl.Transaction | None = None


class OvsdbClient:
    """Watches ``remote`` (``unix:FILE``, ``tcp:HOST:PORT`` or ``ssl:HOST:PORT``) from `start` to `stop`.

    The writing methods may be called from any green thread and return at once; their failures are facts.
    """

    def __init__(
        self,
        remote: str,
        emit: Emit,
        *,
        tls: TlsFiles | None = None,
        probe_interval: float = PROBE_INTERVAL,
        write_timeout: float = WRITE_TIMEOUT,
        sync_timeout: float = SYNC_TIMEOUT,
    ) -> None:
        if not ovs.stream.Stream.is_valid_name(remote) or "," in remote:
            raise ValueError(f"{remote!r} is not a remote like unix:FILE, tcp:HOST:PORT or ssl:HOST:PORT")
        if remote.startswith("ssl:") and tls is None:
            raise ValueError(f"{remote} needs a private key, a certificate and an authority's certificate")
        if tls is not None:
            use_tls(tls)
        self.remote = remote
        self._emit = emit
        self._probe_interval, self._write_timeout, self._sync_timeout = probe_interval, write_timeout, sync_timeout
        self._database = Database(remote)
        # The session whose snapshot we have told, and whether the loss of it has been told.
        self._told_session: int | None = None
        self._told_loss = False
        self._told_lock = False
        self._sync_deadline: float | None = None
        self._requested: list[_Write] = []
        self._running: list[_Write] = []
        self._settling = Settling()
        self._stopping = False
        self._thread: object | None = None
        self._woken = False
        self._wake_reader = self._wake_writer = -1

    def start(self) -> None:
        """Begins to connect. Raises ``RuntimeError`` if waiting would block the whole program."""
        if not ovs.poller._using_eventlet_green_select():
            raise RuntimeError("python-ovs needs a monkey-patched select: call ryu.lib.hub.patch() first")
        self._wake_reader, self._wake_writer = os.pipe()
        self._thread = hub.spawn(self._serve)

    def stop(self) -> None:
        """Closes the connection; returns when the client's thread has ended. No facts come after that."""
        self._stopping = True
        if self._thread is not None:
            self._wake()
            hub.joinall([self._thread])
            self._thread = None

    def write_zones(self, zones: Mapping[str, int]) -> None:
        """Writes conntrack zones by `topology.ports.holder`, in one transaction. All other keys stay as they are."""
        self._set_key(ZONE_KEY, "zone", {holder: str(zone) for holder, zone in zones.items()})

    def write_learned(self, texts: Mapping[str, str]) -> None:
        """Writes what vNICs have learned (`topology.learned`) by holder, as `write_zones` does zones."""
        self._set_key(LEARNED_KEY, "learned addresses", texts)

    def _set_key(self, key: str, what: str, values: Mapping[str, str]) -> None:
        def fill(replica: Replica) -> list[str]:
            missing = []
            for holder, value in breathing(sorted(values.items())):
                row_uuid, its_key = kept_at(holder, key)
                row = replica.find("Interface", row_uuid)
                if row is None:
                    missing.append(f"{what} {value} of interface {holder}")
                else:
                    # A mutation of one key: what others write into external_ids at the same time is kept.
                    row.setkey("external_ids", its_key, value)
            return missing

        told = ", ".join(f"{value} of {holder}" for holder, value in sorted(values.items()))
        self._request(f"{what} {told}", fill)

    def set_bridge(self, row_uuid: str, fail_mode: str = "secure", disable_in_band: bool = True) -> None:
        """Sets a bridge's fail mode, and whether OVS may put flows of its own before ours."""
        what = f"fail mode {fail_mode} of bridge {row_uuid}"

        def fill(replica: Replica) -> list[str]:
            row = replica.find("Bridge", row_uuid)
            if row is None:
                return [what]
            row.fail_mode = fail_mode
            row.setkey("other_config", "disable-in-band", "true" if disable_in_band else "false")
            return []

        self._request(what, fill)

    def name_prefixes(self, row_uuid: str, prefixes: Mapping[int, Sequence[str]]) -> None:
        """Names the address fields that a bridge's tables match by prefix, by table number, where they are not named.

        OVS then remembers one decision for a whole range of addresses. Without, each IPv6 address that a guest makes up
        costs an entry of the datapath's cache.
        """
        what = f"prefixes of the flow tables of bridge {row_uuid}"

        def fill(replica: Replica) -> list[str]:
            row = replica.find("Bridge", row_uuid)
            if row is None:
                return [what]
            tables = dict(row.flow_tables)
            for number, names in prefixes.items():
                if number not in tables:
                    tables[number] = replica.insert("Flow_Table")
                elif sorted(tables[number].prefixes) == sorted(names):
                    continue
                tables[number].prefixes = list(names)
            if tables.keys() != row.flow_tables.keys():
                row.flow_tables = tables
            return []

        self._request(what, fill)

    def limit_zones(self, limits: Sequence[tuple[str, int, int | None]]) -> None:
        """Limits conntrack's zones: a datapath's type, a zone and the most entries; None: what we said is taken back.

        Rows that we have not made are left alone, and a Datapath that we have made goes with the last of its zones.
        """
        by_datapath: dict[str, dict[int, int | None]] = {}
        for datapath, zone, limit in limits:
            by_datapath.setdefault(datapath, {})[zone] = limit

        def fill(replica: Replica) -> list[str]:
            if not replica.limits:
                return ["limits of conntrack's zones"]
            for switch in list(replica.tables["Open_vSwitch"].rows.values()):
                for datapath, zones in by_datapath.items():
                    _limit_zones(replica, switch, datapath, zones)
            return []

        told = ", ".join(f"{zone} of {name}: {limit or 'none'}" for name, zone, limit in limits)
        self._request(f"limits of conntrack's zones: {told}"[:MAX_TOLD], fill)

    def _request(self, what: str, fill: Callable[[Replica], list[str]]) -> None:
        self._requested.append(_Write(what, fill))
        self._wake()

    # The green thread

    def _serve(self) -> None:
        pause = FIRST_PAUSE
        try:
            while not self._stopping:
                replica = None
                try:
                    replica = Replica(self.remote, self._probe_interval)
                    self._sync_deadline, self._told_session = None, None
                    self._watch(replica)
                except Exception as error:
                    # A server that sends nonsense, or a certificate nobody signed, ends up here. It must not take the
                    # other switches' clients with it, so this one begins anew.
                    if self._told_session is not None:
                        pause = FIRST_PAUSE
                    # What a peer, its name or its certificate does to us is no defect of ours: no traceback for that.
                    defect = not isinstance(error, OSError | UnicodeError)
                    told = "OVSDB client of %s failed: %s; it starts again in %g s"
                    LOG.error(told, self.remote, error, pause, exc_info=defect)
                    self._tell_loss(f"the client failed: {error}")
                    self._pause(pause)
                    pause = min(2 * pause, LAST_PAUSE)
                finally:
                    if replica is not None:
                        replica.close()
        finally:
            os.close(self._wake_reader)
            os.close(self._wake_writer)
            self._wake_reader = self._wake_writer = -1

    def _watch(self, replica: Replica) -> None:
        while not self._stopping:
            self._take_wake()
            self._learn(replica)
            self._write(replica)
            poller = ovs.poller.Poller()
            replica.wait(poller)
            self._wait_for_wake(poller)
            deadlines = [write.deadline for write in self._running]
            if self._sync_deadline is not None:
                deadlines.append(self._sync_deadline)
            if deadlines:
                poller.timer_wait(max(1, int(1000 * (min(deadlines) - time.monotonic())) + 1))
            poller.block()

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._stopping and (left := until - time.monotonic()) > 0:
            self._take_wake()
            self._fail_writes("the database is not connected")
            poller = ovs.poller.Poller()
            self._wait_for_wake(poller)
            poller.timer_wait(int(1000 * left) + 1)
            poller.block()

    # The pipe holds one byte exactly while _woken is set, so neither end ever blocks; and no other green thread runs
    # between a look at these values and what is done about them.

    def _wake(self) -> None:
        if not self._woken and self._wake_writer >= 0:
            self._woken = True
            _os.write(self._wake_writer, b"w")

    def _take_wake(self) -> None:
        if self._woken:
            _os.read(self._wake_reader, 1)
            self._woken = False

    def _wait_for_wake(self, poller: ovs.poller.Poller) -> None:
        poller.fd_wait(self._wake_reader, ovs.poller.POLLIN)

    # Reading

    def _learn(self, replica: Replica) -> None:
        """Runs the IDL until it has nothing more to say, and tells what is new.

        The IDL stops after 50 messages. With TLS more of them may already have been read from the socket, of which
        ``select`` would not know: hence the repetition.
        """
        while not self._stopping:
            before = replica.change_seqno
            with collector.paused():
                replica.run()
                self._tell(replica)
                self._settling.settle()
            if replica.change_seqno == before:
                return
            hub.sleep(0)

    def _tell(self, replica: Replica) -> None:
        if replica.is_current() and replica.lock_answered():
            self._sync_deadline = None
            if self._told_session != replica.session_number():
                self._tell_snapshot(replica)
            else:
                self._tell_changes(replica)
                self._tell_lock(replica)
            return
        if self._told_session is not None or replica.last_error is not None:
            self._tell_loss(_describe(replica.last_error))
        if not replica.is_connected():
            self._sync_deadline = None
        elif self._sync_deadline is None:
            self._sync_deadline = time.monotonic() + self._sync_timeout
        elif time.monotonic() >= self._sync_deadline:
            self._sync_deadline = None
            missing = "whether the lock is ours" if replica.is_current() else "the rows of an Open_vSwitch database"
            self._tell_loss(f"the server has not told {missing} within {self._sync_timeout:g} s")
            replica.force_reconnect()

    def _tell_snapshot(self, replica: Replica) -> None:
        replica.touched.clear()
        replica.last_error = None
        everything = [(table, row_uuid) for table in replica.columns for row_uuid in replica.tables[table].rows]
        self._database = apply_changes(Database(self.remote, limits=replica.limits), replica.changes(everything))
        self._told_session, self._told_loss = replica.session_number(), False
        LOG.info("OVSDB %s: connected, %d interfaces", self.remote, len(self._database.interfaces))
        self._told_lock = bool(replica.has_lock)
        self._emit(OvsdbSnapshot(self.remote, self._database, self._told_lock))
        if not self._told_lock:
            LOG.warning("OVSDB %s: another controller enforces on its bridges; this one stands by", self.remote)

    def _tell_lock(self, replica: Replica) -> None:
        if self._told_lock != replica.has_lock:
            self._told_lock = bool(replica.has_lock)
            LOG.warning("OVSDB %s: its lock is %s", self.remote, "ours now" if self._told_lock else "another's now")
            self._emit(OvsdbLock(self.remote, self._told_lock))

    def _tell_changes(self, replica: Replica) -> None:
        touched, replica.touched = replica.touched, {}
        # Most updates concern keys that we do not keep.
        known = self._database.row
        changes = [change for change in replica.changes(touched) if change.row != known(change.table, change.uuid)]
        if changes:
            self._database = apply_changes(self._database, changes)
            self._emit(OvsdbUpdated(self.remote, tuple(changes)))

    def _tell_loss(self, reason: str) -> None:
        """Tells a loss once, and what it does to the writes under way."""
        self._told_session = None
        if not self._told_loss:
            self._told_loss = True
            LOG.warning("OVSDB %s: lost: %s", self.remote, reason)
            self._emit(OvsdbLost(self.remote, reason))
            self._fail_writes(f"the connection was lost: {reason}")

    # Writing

    def _write(self, replica: Replica) -> None:
        """Sends what was requested, and looks what has become of what was sent."""
        if self._told_session is None:
            self._fail_writes("the database is not connected")
            return
        requested, self._requested = self._requested, []
        for write in requested:
            # At a start there are several for each bridge.
            replica.cooperative_yield()
            write.transaction = ovs.db.idl.Transaction(replica)
            write.deadline = time.monotonic() + self._write_timeout
            for what in write.fill(replica):
                self._tell_failure(what, "the row is gone")
            write.transaction.commit()
            self._running.append(write)
        running, self._running = self._running, []
        for write in running:
            assert write.transaction is not None
            status = write.transaction.commit()
            if status == ovs.db.idl.Transaction.INCOMPLETE and time.monotonic() < write.deadline:
                self._running.append(write)
            elif status == ovs.db.idl.Transaction.INCOMPLETE:
                write.transaction.abort()
                self._tell_failure(write.what, f"no answer within {self._write_timeout:g} s")
            elif status not in (ovs.db.idl.Transaction.SUCCESS, ovs.db.idl.Transaction.UNCHANGED):
                self._tell_failure(write.what, write.transaction.get_error())

    def _fail_writes(self, error: str) -> None:
        failed = self._running + self._requested
        self._running, self._requested = [], []
        for write in failed:
            if write.transaction is not None:
                write.transaction.abort()
            self._tell_failure(write.what, error)

    def _tell_failure(self, what: str, error: str) -> None:
        LOG.warning("OVSDB %s: not written: %s: %s", self.remote, what, error)
        self._emit(OvsdbWriteFailed(self.remote, what, error))


def _limit_zones(replica: Replica, switch: Any, datapath: str, zones: Mapping[int, int | None]) -> None:  # noqa: ANN401
    """Puts the limits of a datapath's zones into the open transaction."""
    row = switch.datapaths.get(datapath)
    standing = dict(row.ct_zones) if row is not None else {}
    put, gone = {}, []
    for zone, limit in zones.items():
        known = standing.get(zone)
        if known is not None and LIMIT_KEY not in known.external_ids:
            continue
        if limit is None:
            gone += [zone] if known is not None else []
        elif known is not None:
            known.limit = limit
        else:
            put[zone] = replica.insert("CT_Zone")
            put[zone].limit, put[zone].external_ids = limit, {LIMIT_KEY: "true"}
    if row is None:
        if put:
            row = replica.insert("Datapath")
            row.datapath_version, row.external_ids, row.ct_zones = "", {LIMIT_KEY: "true"}, put
            switch.setkey("datapaths", datapath, row)
        return
    if not put and len(gone) == len(standing) > 0 and LIMIT_KEY in row.external_ids:
        row.verify("ct_zones")
        switch.delkey("datapaths", datapath)
        return
    # Mutations of single keys: what others write into the same column at the same time is kept.
    for zone in gone:
        row.delkey("ct_zones", zone)
    for zone, new in put.items():
        row.setkey("ct_zones", zone, new)


def _describe(error: int | None) -> str:
    if error is None or error == 0:
        return "no answer from the server"
    if error == ovs.jsonrpc.EOF:
        return "closed by the server"
    # Of a name that is not found, python-ovs tells what getaddrinfo says; those numbers are below zero.
    if error < 0:
        return f"no address is found for its name (getaddrinfo: {error})"
    return os.strerror(error) if error in errno.errorcode else f"error {error}"
