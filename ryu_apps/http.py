"""The status and the counters over HTTP, on Ryu's own web server. Read-only; JSON, and metrics for Prometheus."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Iterator
from typing import Any

from eventlet import tpool
from ryu.app.wsgi import ControllerBase, route
from webob import Request, Response

from ryu_apps.policy_watch import PolicyWatch
from ryu_apps.reports.metrics import CONTENT_TYPE, exposition
from ryu_apps.turns import Turns
from ryu_apps.worker import Worker
from topology.breath import breathing

# The longest that one request may wait, in seconds.
MAX_WAIT = 600.0
# How long the counters of switches are waited for, in seconds; then those that were read before are told.
MAX_COUNTING = 3.0


class StatusPages(ControllerBase):  # type: ignore[misc]  # Ryu is untyped
    """GET /portcullis/status[?wait=SECONDS], and /portcullis/topology, counters and metrics."""

    def __init__(self, req: Request, link: Any, data: dict[str, Any], **config: Any) -> None:  # noqa: ANN401 (Ryu's)
        super().__init__(req, link, data, **config)
        # Each request has a green thread of its own.
        Turns()
        self.worker: Worker = data["worker"]
        self.watch: PolicyWatch | None = data["watch"]

    @route("portcullis", "/portcullis/status", methods=["GET"])
    def status(self, req: Request, **_: object) -> Response:
        """The status at once, or as soon as the newest policy is in force everywhere or is refused."""
        try:
            seconds = min(float(req.params.get("wait", "0")), MAX_WAIT)
            if not seconds >= 0:
                raise ValueError
        except ValueError:
            return _json({"error": "wait must be a number of seconds"}, 400)
        if seconds:
            self._wait(seconds)
        return _json(self._status())

    @route("portcullis", "/portcullis/topology", methods=["GET"])
    def topology(self, req: Request, **_: object) -> Response:
        """Hosts, bridges, ports, vNICs and VMs as a graph."""
        # In a real thread, and only for who asks: networkx takes its time to come, and ten megabytes.
        export, graph = tpool.execute(_graphs)
        return _json(export.node_link(graph.build(self.worker.engine.topology)))

    @route("portcullis", "/portcullis/counters", methods=["GET"])
    def counters(self, req: Request, **_: object) -> Response:
        """Packets and bytes of each rule, default and drop, and what the log has lost."""
        self.worker.count(MAX_COUNTING)
        return _json(self.worker.reporter.page())

    @route("portcullis", "/portcullis/metrics", methods=["GET"])
    def metrics(self, req: Request, **_: object) -> Response:
        """Status and counters for Prometheus."""
        worker = self.worker
        worker.count(MAX_COUNTING)
        body = exposition(self._status(), worker.reporter.page(), worker.waiting, worker.reporter.waiting)
        return Response(body=body, headerlist=[("Content-Type", CONTENT_TYPE)])

    def _wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        if self.watch is not None:
            self.watch.check(seconds)
        while (left := deadline - time.monotonic()) > 0:
            if self.worker.settled:
                return
            self.worker.wait_for_change(left)

    def _status(self) -> dict[str, Any]:
        status = self.worker.status
        writing = list(self.watch.writing) if self.watch is not None else []
        path = str(self.watch.path) if self.watch is not None else None
        sinks = [spout.page() for spout in self.worker.reporter.spouts]
        return {**status, "policy": {**status["policy"], "path": path, "being_written": writing}, "log": sinks}


def _graphs() -> tuple[Any, Any]:
    return importlib.import_module("topology.export"), importlib.import_module("topology.graph")


def _json(value: dict[str, Any], status: int = 200) -> Response:
    body = "".join(_encoded(value)).encode()
    return Response(body=body, content_type="application/json", charset="utf-8", status=status)


def _encoded(value: dict[str, Any]) -> Iterator[str]:
    """As JSON, in pieces: of thousands of vNICs it takes long."""
    for number, (key, member) in enumerate(value.items()):
        yield f"{', ' if number else '{'}{json.dumps(key)}: "
        if isinstance(member, list):
            yield f"[{', '.join(map(json.dumps, breathing(member)))}]"
        else:
            yield json.dumps(member)
    yield "}" if value else "{}"
