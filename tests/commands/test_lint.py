"""`portcullis lint`: statuses, text and JSON. What is found is tested where lint is."""

import json

import pytest

from policy.analysis.lint.codes import CODES
from tests.commands.conftest import portcullis

HIDDEN = "      - {name: late, deny: tcp/443, from: db, to: web}\n"


@pytest.fixture
def hidden(shop):
    path = shop / "shop.yaml"
    path.write_text(path.read_text() + HIDDEN)
    return shop


def test_no_error_is_status_0(shop):
    result = portcullis("lint", "shop.yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "PC101" not in result.stdout


def test_an_error_is_status_1_and_names_places(hidden):
    result = portcullis("lint", hidden)
    assert (result.exit_code, result.stderr) == (1, "")
    assert f"{hidden}/shop.yaml:19:9: error PC101: rule shop/late never decides" in result.stdout
    assert f"    see {hidden}/shop.yaml:16\n" in result.stdout


def test_json(hidden):
    result = portcullis("lint", ".", "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert [set(each) for each in found] == [
        {"code", "severity", "file", "line", "column", "message", "related"} for _ in found
    ]
    (error,) = [each for each in found if each["severity"] == "error"]
    assert (error["code"], error["file"], error["line"], error["column"]) == ("PC101", "shop.yaml", 19, 9)
    assert error["related"] == [{"file": "shop.yaml", "line": 16}]


def test_a_silenced_error_is_none(hidden):
    path = hidden / "shop.yaml"
    path.write_text(path.read_text().replace(HIDDEN, HIDDEN.rstrip() + " # lint: ignore PC101 on purpose\n"))
    result = portcullis("lint", "shop.yaml")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].endswith("1 silenced")


def test_pairs(shop):
    assert "PC301" not in portcullis("lint", "shop.yaml").stdout
    assert "PC301" in portcullis("lint", "shop.yaml", "--pairs", "1").stdout


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_explained(code):
    result = portcullis("lint", "--explain", code.lower())
    assert result.exit_code == 0
    assert CODES[code].explanation.split()[-1] in result.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "give either"),
        (["shop.yaml", "--explain", "PC101"], "give either"),
        (["--explain", "PC1"], "no such code"),
        (["nothing"], "no such file"),
        (["shop.yaml", "--pairs", "-1"], "--pairs"),
    ],
)
def test_wrong_usage(shop, words, told):
    result = portcullis("lint", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert told in result.stderr


def test_a_policy_that_does_not_load_is_no_answer(shop):
    (shop / "shop.yaml").write_text("version: 2\n")
    result = portcullis("lint", ".", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "shop.yaml:1:10: error:" in result.stderr
