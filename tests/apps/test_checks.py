"""Settings that cannot be meant: the controller says so in one line, and does not start."""

import subprocess
import sys
from pathlib import Path

import pytest
from ryu.app import wsgi
from ryu.base import app_manager
from ryu.cfg import CONF

from mininet_scenarios.lab.controller import free_port
from ryu_apps import settings
from ryu_apps.checks import problem_of

ROOT = Path(__file__).parents[2]


# Their options are known to Ryu as soon as they are imported, as in the controller.
HAVE_OPTIONS = (wsgi, app_manager, settings)


def start(folder, *options):
    """What ryu-manager with our application says when it ends by itself, line by line."""
    (folder / "policy.yaml").write_text("version: 1\n")
    command = [
        str(Path(sys.executable).with_name("ryu-manager")),
        *("--user-flags", "ryu_apps/settings.py"),
        "ryu_apps/portcullis.py",
        *("--portcullis-policy", str(folder), "--portcullis-ovsdb", f"unix:{folder}/db.sock"),
        *("--ofp-listen-host", "127.0.0.1", "--ofp-tcp-listen-port", str(free_port())),
        *("--wsapi-port", str(free_port())),
        *options,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith("portcullis: ")]


def test_a_server_that_is_none_told_by_the_controller(tmp_path):
    (line,) = start(tmp_path, "--portcullis-ovsdb", "tcp:host")
    assert line == (
        "portcullis: --portcullis-ovsdb: 'tcp:host' is not an OVSDB server like "
        "unix:FILE, tcp:HOST:PORT or ssl:HOST:PORT"
    )


@pytest.fixture
def problem(tmp_path):
    """What the controller would say of its settings, asked of the function that it asks."""

    def problem(config, *options):
        file = tmp_path / "ryu.conf"
        file.write_text(config)
        words = ("--portcullis-policy", str(tmp_path), *options)
        try:
            CONF(words, project="ryu", default_config_files=[str(file)])
            return problem_of(CONF)
        finally:
            CONF.clear()

    return problem


OVER_TLS = ("--portcullis-ovsdb", "ssl:127.0.0.1:6640")


def test_tls_without_keys(problem):
    assert problem("[portcullis]\novsdb_ca_cert = x\n", *OVER_TLS) == (
        "ssl:127.0.0.1:6640 needs ovsdb_private_key, ovsdb_certificate, ovsdb_ca_cert in [portcullis] of "
        "--config-file; not set: ovsdb_private_key, ovsdb_certificate"
    )


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """The settings of a key and a certificate that signs itself."""
    key, certificate = (str(tmp_path_factory.mktemp("keys") / name) for name in ("key", "certificate"))
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", key, "-out", certificate]
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    return {"ovsdb_private_key": key, "ovsdb_certificate": certificate, "ovsdb_ca_cert": certificate}


@pytest.mark.parametrize(
    ("named", "missing"),
    [(["ctl_privkey"], "ctl_cert"), (["ctl_cert"], "ctl_privkey"), (["ca_certs"], "ctl_privkey, ctl_cert")],
)
def test_half_of_tls_for_openflow_is_none(problem, keys, named, missing):
    """Ryu would listen without TLS, and say nothing."""
    config = "[DEFAULT]\n" + "".join(f"{name} = {keys['ovsdb_ca_cert']}\n" for name in named)
    told = problem(config)
    assert told.startswith("TLS for OpenFlow needs ctl_privkey and ctl_cert in [DEFAULT] of --config-file")
    assert f"not set: {missing};" in told


def openflow(keys, **more):
    names = {"ctl_privkey": "ovsdb_private_key", "ctl_cert": "ovsdb_certificate", "ca_certs": "ovsdb_ca_cert"}
    files = {name: keys[other] for name, other in names.items()} | more
    return "[DEFAULT]\n" + "".join(f"{name} = {path}\n" for name, path in files.items() if path)


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        ({"ctl_privkey": "nowhere"}, "ctl_privkey = nowhere: No such file or directory"),
        ({"ctl_cert": "/dev/null"}, "are no pair in PEM form"),
        ({"ca_certs": "/dev/null"}, "ca_certs = /dev/null is no certificate in PEM form"),
        ({"ca_certs": "nowhere"}, "ca_certs = nowhere: No such file or directory"),
    ],
)
def test_tls_files_for_openflow_that_cannot_be_used(problem, keys, spoilt, told):
    assert told in problem(openflow(keys, **spoilt))


def test_tls_for_openflow_as_it_should_be(problem, keys):
    assert problem(openflow(keys)) is None
    assert problem(openflow(keys, ca_certs=None)) is None


@pytest.mark.parametrize(
    "spoilt,told",
    [
        ({"ovsdb_private_key": "nowhere"}, "ovsdb_private_key = nowhere: No such file or directory"),
        ({"ovsdb_certificate": "/dev/null"}, "are no pair in PEM form"),
        ({"ovsdb_ca_cert": "/dev/null"}, "ovsdb_ca_cert = /dev/null is no certificate in PEM form"),
    ],
)
def test_tls_files_that_are_none(problem, keys, spoilt, told):
    settings = ["[portcullis]", *(f"{key} = {value}" for key, value in (keys | spoilt).items())]
    assert told in problem("\n".join(settings), *OVER_TLS)
    fine = ["[portcullis]", *(f"{key} = {value}" for key, value in keys.items())]
    assert problem("\n".join(fine), *OVER_TLS) is None


def test_keys_that_mean_nothing(problem):
    told = problem("[DEFAULT]\nx = 1\n[portcullis]\nuplinks = eth1\nlog-rate = 5\ngrace = 3\n")
    assert told.endswith("/ryu.conf: unknown in [portcullis]: uplinks, log-rate; did you mean 'uplink'?")


@pytest.mark.parametrize("option", ["--ofp-tcp-listen-port", "--wsapi-port"])
def test_a_port_that_is_taken_told_by_the_controller(tmp_path, taken, option):
    assert start(tmp_path, option, str(taken)) == [
        f"portcullis: cannot listen at 127.0.0.1:{taken}: Address already in use"
    ]
