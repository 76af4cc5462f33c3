"""`portcullis matrix`: text, JSON, CSV and the web page."""

import csv
import io
import json
from html.parser import HTMLParser

from tests.commands.conftest import portcullis


def told(*words):
    result = portcullis("matrix", "shop.yaml", *words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_json_is_that_of_the_language(shop):
    assert json.loads(told("--json")) == [
        {"from": "web-1", "to": "db-1", "allow": ["tcp/3306"], "reject": []},
        {"from": "db-1", "to": "web-1", "allow": ["icmp4/8", "tcp/443"], "reject": []},
    ]
    assert json.loads(told("--service", "tcp/3306", "--json")) == [
        {"from": "web-1", "to": "db-1", "service": "tcp/3306", "verdict": "allow"},
        {"from": "db-1", "to": "web-1", "service": "tcp/3306", "verdict": "deny"},
    ]


def test_json_by_groups(shop):
    found = {(cell["from"], cell["to"]): cell for cell in json.loads(told("--by", "groups", "--json"))}
    assert found["web", "db"] == {"from": "web", "to": "db", "allow": ["tcp/3306"], "reject": [], "mixed": []}
    assert found["outside", "web"]["allow"] == ["icmp/echo", "tcp/443"]
    asked = json.loads(told("--by", "groups", "--service", "tcp/443", "--json"))
    assert {"from": "office", "to": "web", "service": "tcp/443", "verdict": "allow"} in asked


def test_nothing_is_an_empty_list(shop):
    (shop / "shop.yaml").write_text("version: 1\n")
    assert json.loads(told("--json")) == []
    assert told() == ""


def test_csv(shop):
    assert list(csv.DictReader(io.StringIO(told("--csv")))) == [
        {"from": "web-1", "to": "db-1", "allow": "tcp/3306", "reject": ""},
        {"from": "db-1", "to": "web-1", "allow": "icmp4/8 tcp/443", "reject": ""},
    ]
    assert told("--by", "groups", "--csv").splitlines()[0] == "from,to,allow,reject,mixed"
    assert told("--service", "tcp/443", "--csv").splitlines()[0] == "from,to,service,verdict"


class Page(HTMLParser):
    """Notes all tags, and whatever could load something."""

    def __init__(self):
        super().__init__()
        self.tags, self.loads = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "action", "srcset", "data")]


def test_the_page_needs_no_other_and_everything_is_escaped(shop):
    text = (shop / "shop.yaml").read_text()
    (shop / "<b>&.yaml").write_text(text)
    result = portcullis("matrix", "<b>&.yaml", "--html")
    assert result.exit_code == 0
    page = Page()
    page.feed(result.stdout)
    assert not page.loads
    assert not {"b", "script", "link", "img"} & set(page.tags)
    assert "&lt;b&gt;&amp;.yaml" in result.stdout
    assert page.tags.count("td") == 4
    assert "tcp/3306" in result.stdout


def test_text(shop):
    lines = [line.split() for line in told().splitlines()]
    assert lines[1:] == [["web-1", "db-1", "tcp/3306"], ["db-1", "web-1", "icmp4/8", "tcp/443"]]
    assert "yes" in told("--service", "tcp/3306")


def test_pairs_without_anything_are_counted(shop):
    (shop / "shop.yaml").write_text("version: 1\nvms: {a: {addresses: 10.0.0.1}, b: {addresses: 10.0.0.2}}\n")
    assert told() == "2 pairs with nothing but denied connections left out\n"
    assert [line.split() for line in told("--all").splitlines()][1:] == [["a", "b", "deny"], ["b", "a", "deny"]]


def test_many_vms_are_listed(shop):
    vms = "".join(f"  vm-{number}: {{labels: {{role: web}}, addresses: 10.0.1.{number}}}\n" for number in range(30))
    (shop / "many.yaml").write_text(f"vms:\n{vms}version: 1\n")
    result = portcullis("matrix", "many.yaml", "--service", "tcp/1")
    assert len(result.stdout.splitlines()) == 30 * 29
    assert result.stdout.startswith("deny  vm-0 -> vm-1")


def test_wrong_usage(shop):
    forms = (["--json", "--csv"], ["--csv", "--html"], ["--html", "--json"], ["--json", "--csv", "--html"])
    for words in (["--service", "tcp"], ["--service", "https"], ["--source-port", "1"], ["--by", "nothing"], *forms):
        result = portcullis("matrix", "shop.yaml", *words)
        assert result.exit_code == 2 and not result.stdout
    assert portcullis("matrix", "none.yaml").exit_code == 2
    (shop / "shop.yaml").write_text("version: 2\n")
    assert portcullis("matrix", "shop.yaml").exit_code == 2
