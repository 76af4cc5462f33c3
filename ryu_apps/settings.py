"""The settings of the application, in oslo.config's group ``portcullis``: on the command line and in a file.

ryu-manager reads this file before it parses its command line (``--user-flags``), so that it knows our options.
"""

from __future__ import annotations

from oslo_config import cfg
from ryu import cfg as ryu_cfg

GROUP = "portcullis"
DEFAULT_OVSDB = "unix:/var/run/openvswitch/db.sock"

OPTIONS = [
    cfg.StrOpt(
        "policy",
        metavar="DIR",
        help="Directory (or file) of policy YAML; watched, and enforced whenever it changes.",
    ),
    cfg.MultiStrOpt(
        "ovsdb",
        default=[DEFAULT_OVSDB],
        metavar="REMOTE",
        help="OVSDB server of a switch: unix:FILE, tcp:HOST:PORT or ssl:HOST:PORT. Repeatable.",
    ),
    cfg.MultiStrOpt(
        "uplink",
        default=[],
        metavar="NAME",
        help="Port to the outside world, by name or shell glob. Repeatable. "
        "Ports with external_ids:role=uplink, patch and tunnel ports are uplinks anyway.",
    ),
    cfg.MultiStrOpt(
        "bridge",
        default=[],
        metavar="NAME",
        help="Bridge to firewall, by name or shell glob, whether it has connected or not. Repeatable. Default: every "
        "bridge that connects, or whose fail_mode is secure already.",
    ),
    cfg.BoolOpt(
        "audit",
        default=False,
        help="Only look: what no rule decides is logged and ALLOWED, not denied; for learning a network at first.",
    ),
    cfg.FloatOpt(
        "grace",
        default=10.0,
        min=0.0,
        metavar="SECONDS",
        help="How long a start waits for OVSDB servers that do not answer, before it enforces without them.",
    ),
    cfg.MultiStrOpt(
        "log",
        default=[],
        metavar="SINK",
        help="Where decisions and drops are logged, a line of JSON each: file:PATH, syslog, syslog:unix:PATH, "
        "syslog:HOST:PORT or stdout. Repeatable. Default: nowhere; they are counted all the same.",
    ),
    cfg.FloatOpt(
        "log-rate",
        default=100.0,
        min=0.01,
        max=100_000.0,
        metavar="LINES",
        help="The most lines a second that one rule may log. What is left out is counted and told.",
    ),
    cfg.StrOpt("ovsdb-private-key", metavar="FILE", help="Private key for ssl: OVSDB remotes."),
    cfg.StrOpt("ovsdb-certificate", metavar="FILE", help="Certificate for ssl: OVSDB remotes."),
    cfg.StrOpt("ovsdb-ca-cert", metavar="FILE", help="Authority that signed the OVSDB servers' certificates."),
]

ryu_cfg.CONF.register_cli_opts(OPTIONS, group=GROUP)
