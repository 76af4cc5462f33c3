"""Portcullis as a Ryu application: a shim. Each handler turns an event into a fact and returns.

Run by ``portcullis run``, or by hand:
``ryu-manager --user-flags ryu_apps/settings.py ryu_apps/portcullis.py --portcullis-policy DIR``.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ryu import cfg
from ryu.app.wsgi import WSGIApplication
from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.lib import hub
from ryu.ofproto import ofproto_v1_4

from ryu_apps import doors, watchdog
from ryu_apps.checks import problem_of, tls_files
from ryu_apps.engine import Engine, EngineSettings
from ryu_apps.facts import GraceOver
from ryu_apps.http import StatusPages
from ryu_apps.learn_settings import LearnSettings
from ryu_apps.ovsdb import OvsdbClient
from ryu_apps.policy_watch import PolicyWatch
from ryu_apps.reports.reporter import Reporter
from ryu_apps.reports.reports import ReportSettings
from ryu_apps.reports.sinks import SinkUnknown
from ryu_apps.worker import Worker, end_of_process

LOG = logging.getLogger(__name__)

doors.keep_open()
# Ryu's web server listens on all addresses unless told otherwise; a status page is for this machine's people.
cfg.CONF.set_default("wsapi_host", "127.0.0.1")
# A switch that has vanished without a word (power, cable) is noticed after half a minute; Ryu would never ask.
cfg.CONF.set_default("echo_request_interval", 5.0)
cfg.CONF.set_default("maximum_unreplied_echo_requests", 5)


def fact_handler(handler: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """An exception in a handler is a defect: it ends the process, as in the worker, where Ryu would carry on."""

    @functools.wraps(handler)
    def guarded(self: Any, event: Any) -> None:  # noqa: ANN401 (Ryu's)
        try:
            handler(self, event)
        except Exception:
            end_of_process(f"{handler.__name__} of {type(event).__name__}")

    return guarded


class Portcullis(app_manager.RyuApp):  # type: ignore[misc]  # Ryu is untyped
    """The firewall."""

    OFP_VERSIONS = [ofproto_v1_4.OFP_VERSION]
    _CONTEXTS = {"wsgi": WSGIApplication}

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (Ryu's)
        super().__init__(*args, **kwargs)
        settings = cfg.CONF.portcullis
        _make_log_readable()
        if (problem := problem_of(cfg.CONF)) is not None:
            sys.exit(f"portcullis: {problem}")
        remotes = tuple(dict.fromkeys(settings.ovsdb))
        where = tuple(settings.uplink), tuple(settings.bridge)
        engine = Engine(EngineSettings(remotes, *where, audit=settings.audit, learning=_learning(settings)))
        self.worker = Worker(engine, _reporter(engine, settings))
        tls = tls_files(settings)
        self.worker.databases = {remote: OvsdbClient(remote, self.worker.put, tls=tls) for remote in remotes}
        self.watch = PolicyWatch(Path(settings.policy), self.worker.put)
        kwargs["wsgi"].register(StatusPages, {"worker": self.worker, "watch": self.watch})

    def start(self) -> None:
        """Begin to listen to files, databases and switches."""
        super().start()
        self.worker.start()
        self.watch.start()
        for client in self.worker.databases.values():
            client.start()
        watchdog.start(self.worker)
        hub.spawn_after(cfg.CONF.portcullis.grace, self.worker.put, GraceOver())

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])
    @fact_handler
    def on_state(self, event: Any) -> None:  # noqa: ANN401 (Ryu's)
        """A bridge has connected or gone."""
        datapath = event.datapath
        if datapath.id is None:
            return
        if event.state == MAIN_DISPATCHER:
            self.worker.switches.up(datapath)
        else:
            self.worker.switches.down(datapath)

    @set_ev_cls(ofp_event.EventOFPBundleCtrlMsg, MAIN_DISPATCHER)
    @fact_handler
    def on_bundle(self, event: Any) -> None:  # noqa: ANN401
        """An answer about a bundle."""
        self.worker.switches.heard_bundle(event.msg)

    @set_ev_cls(ofp_event.EventOFPErrorMsg, MAIN_DISPATCHER)
    @fact_handler
    def on_error(self, event: Any) -> None:  # noqa: ANN401
        """The switch refuses something."""
        self.worker.switches.heard_error(event.msg)

    @set_ev_cls(
        [ofp_event.EventOFPFlowStatsReply, ofp_event.EventOFPMeterStatsReply,
         ofp_event.EventOFPMeterConfigStatsReply, ofp_event.EventOFPMeterFeaturesStatsReply],
        MAIN_DISPATCHER,
    )  # fmt: skip
    @fact_handler
    def on_flows(self, event: Any) -> None:  # noqa: ANN401
        """A part of a bridge's flows or meters."""
        self.worker.switches.heard_flows(event.msg)

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    @fact_handler
    def on_packet(self, event: Any) -> None:  # noqa: ANN401
        """A copy of a packet."""
        self.worker.switches.heard_packet(event.msg)

    @set_ev_cls(ofp_event.EventOFPFlowMonitorReply, MAIN_DISPATCHER)
    @fact_handler
    def on_updates(self, event: Any) -> None:  # noqa: ANN401
        """Somebody has changed a bridge's flows."""
        self.worker.switches.heard_updates(event.msg)

    @set_ev_cls(ofp_event.EventOFPRoleReply, MAIN_DISPATCHER)
    @fact_handler
    def on_role(self, event: Any) -> None:  # noqa: ANN401
        """An answer about who is master."""
        self.worker.switches.heard_role(event.msg)

    @set_ev_cls(ofp_event.EventOFPRoleStatus, MAIN_DISPATCHER)
    @fact_handler
    def on_demotion(self, event: Any) -> None:  # noqa: ANN401
        """Another controller has become master."""
        self.worker.switches.heard_demotion(event.msg)


def _make_log_readable() -> None:
    """Times as the log of decisions has them, and levels, where no journal adds its own; no line for each request."""
    if not cfg.CONF.verbose:
        # Two lines for each scrape of metrics would bury what has happened.
        logging.getLogger("ryu.lib.hub").setLevel(logging.WARNING)
    stamped = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    stamped.converter = time.gmtime
    for handler in logging.getLogger().handlers:
        journal = type(handler) is logging.StreamHandler and "JOURNAL_STREAM" in os.environ
        # Whoever has given ryu-manager a --log-config-file has said how lines should look.
        if handler.formatter is None and not journal:
            handler.setFormatter(stamped)


def _learning(settings: Any) -> LearnSettings:  # noqa: ANN401 (oslo.config's)
    try:
        return LearnSettings(tuple(settings.learn), settings.learn_limit)
    except ValueError as error:
        sys.exit(f"portcullis: --portcullis-learn: {error}")


def _reporter(engine: Engine, settings: Any) -> Reporter:  # noqa: ANN401 (oslo.config's)
    try:
        return Reporter(engine, ReportSettings(settings.log_rate, learning=settings.audit), settings.log)
    except SinkUnknown as error:
        sys.exit(f"portcullis: --portcullis-log: {error}")
