"""What is wrong with the settings, found before anything has started: told in one line, and the process ends.

Later would be too late: Ryu lets a server that cannot listen die by itself and carries on, deaf.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Mapping, Set
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from oslo_config import cfg

from policy.commands.endpoints import listening_problem, remote_problem
from ryu_apps.ovsdb import TlsFiles

# As in `ryu_apps.settings`, which Ryu has loaded by then, under a name of its own.
GROUP = "portcullis"
# In the order in which `TlsFiles` has them.
_TLS = ("ovsdb_private_key", "ovsdb_certificate", "ovsdb_ca_cert")
# Ryu's own, for OpenFlow.
_OPENFLOW_TLS = ("ctl_privkey", "ctl_cert")


def problem_of(conf: Any) -> str | None:  # noqa: ANN401 (oslo.config's)
    """The first problem of all settings; None: there is none."""
    return next(_problems(conf), None)


def tls_files(settings: Any) -> TlsFiles | None:  # noqa: ANN401 (oslo.config's)
    """The files for ``ssl:`` servers, if all are named."""
    files = [getattr(settings, name) for name in _TLS]
    return TlsFiles(*files) if all(files) else None


def _problems(conf: Any) -> Iterator[str]:  # noqa: ANN401
    settings = conf[GROUP]
    yield from _unknown_keys(conf.config_file, {*settings})
    if not settings.policy:
        yield "--portcullis-policy DIR is needed: the directory of policy YAML"
    for remote in settings.ovsdb:
        if (problem := remote_problem(remote)) is not None:
            yield f"--portcullis-ovsdb: {problem}"
    yield from _tls_problems(settings)
    yield from _openflow_tls_problems(conf)
    secure = conf.ctl_privkey is not None and conf.ctl_cert is not None
    openflow = conf.ofp_ssl_listen_port if secure else conf.ofp_tcp_listen_port
    for address, port in ((conf.ofp_listen_host, openflow), (conf.wsapi_host, conf.wsapi_port)):
        # Without a number Ryu chooses one by itself.
        if port and (problem := listening_problem(address or "0.0.0.0", port)) is not None:
            yield problem


def _tls_problems(settings: Any) -> Iterator[str]:  # noqa: ANN401
    named = [name for name in _TLS if getattr(settings, name)]
    remotes = [remote for remote in settings.ovsdb if remote.startswith("ssl:")]
    if len(named) < len(_TLS) and (named or remotes):
        whose = f"{remotes[0]} needs" if remotes else "TLS needs"
        missing = ", ".join(name for name in _TLS if name not in named)
        yield f"{whose} {', '.join(_TLS)} in [{GROUP}] of --config-file; not set: {missing}"
    elif named:
        yield from _unusable({name: getattr(settings, name) for name in _TLS})


def _openflow_tls_problems(conf: Any) -> Iterator[str]:  # noqa: ANN401
    """Ryu listens without TLS where one of the two is missing, and not at all where they cannot be used."""
    named = [name for name in (*_OPENFLOW_TLS, "ca_certs") if getattr(conf, name, None) is not None]
    missing = [name for name in _OPENFLOW_TLS if name not in named]
    if named and missing:
        yield (
            f"TLS for OpenFlow needs {' and '.join(_OPENFLOW_TLS)} in [DEFAULT] of --config-file (docs/operation.md, "
            f"TLS); not set: {', '.join(missing)}; without, bridges would be listened to over plain TCP"
        )
    elif named:
        yield from _unusable({name: getattr(conf, name, None) for name in (*_OPENFLOW_TLS, "ca_certs")})


def _unusable(files: Mapping[str, str | None]) -> Iterator[str]:
    """What is wrong with a key, a certificate and an authority, by the names of their settings; None: not set."""
    unreadable = False
    for name, path in files.items():
        try:
            Path(path).read_bytes() if path is not None else None
        except (OSError, ValueError) as error:
            unreadable = True
            yield f"{name} = {path}: {getattr(error, 'strerror', None) or error}"
    if unreadable:
        return
    (key_name, key), (certificate_name, certificate), (authority_name, authority) = files.items()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        # An encrypted key would ask for its password on the terminal.
        context.load_cert_chain(certificate or "", key, password=lambda: b"")
    except (OSError, ValueError) as error:
        yield f"{key_name} = {key} and {certificate_name} = {certificate} are no pair in PEM form: {error}"
    try:
        if authority is not None:
            context.load_verify_locations(authority)
    except (OSError, ValueError) as error:
        yield f"{authority_name} = {authority} is no certificate in PEM form: {error}"


def _unknown_keys(files: Iterable[str], known: Set[str]) -> Iterator[str]:
    """Keys of our group that mean nothing. oslo.config ignores them; a misspelt ``uplink`` must not be ignored."""
    for file in files:
        sections: dict[str, dict[str, Any]] = {}
        cfg.ConfigParser(file, sections).parse()
        for section, keys in sections.items():
            unknown = [key for key in keys if key not in known] if section.lower() == GROUP else []
            if unknown:
                near = get_close_matches(unknown[0].replace("-", "_"), known, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                yield f"{file}: unknown in [{section}]: {', '.join(unknown)}{hint}"
