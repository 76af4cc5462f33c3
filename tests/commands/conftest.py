"""A folder with the shop's policy, the command in it, and controllers that answer what a test wants."""

import json
import threading

# Not `import http.server`: eventlet leaves a copy of its own under that name, whose threads never wake.
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from policy.cli import cli
from tests.commands.sample import SHOP, counters_page, status_page, topology_page


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """The current folder, with shop.yaml in it."""
    (tmp_path / "shop.yaml").write_text(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORTCULLIS_URL", raising=False)
    return tmp_path


def portcullis(*words, stdin=None):
    """The command in this process; stdout and stderr apart. An exception that it does not expect is the test's."""
    return CliRunner(catch_exceptions=False).invoke(cli, list(map(str, words)), input=stdin, prog_name="portcullis")


class Controller:
    """An HTTP server whose pages are what a test puts there: values for JSON, or (status, bytes)."""

    def __init__(self, port=0):
        self.pages = {
            "/portcullis/status": status_page(),
            "/portcullis/topology": topology_page(),
            "/portcullis/counters": counters_page(),
        }
        self.asked = []
        controller = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                controller.asked.append(self.path)
                page = controller.pages.get(self.path.partition("?")[0], (404, b"no such page"))
                page = page() if callable(page) else page
                status, body = page if isinstance(page, tuple) else (200, json.dumps(page).encode())
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def controller(monkeypatch):
    """A controller at PORTCULLIS_URL."""
    it = Controller()
    monkeypatch.setenv("PORTCULLIS_URL", it.url)
    yield it
    it.stop()


@pytest.fixture
def nobody(monkeypatch):
    """A URL where nothing answers."""
    it = Controller()
    it.stop()
    monkeypatch.setenv("PORTCULLIS_URL", it.url)
    return it.url
