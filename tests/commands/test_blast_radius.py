"""`portcullis blast-radius`: text, JSON, dot and picture. What is reached is tested where the analysis is."""

import json
from xml.etree import ElementTree as ET

import pytest

from tests.commands.conftest import portcullis

SVG = "{http://www.w3.org/2000/svg}"


def told(*words):
    result = portcullis("blast-radius", "shop.yaml", *words)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def test_one_vm(shop):
    first, header, step, last = told("web-1").splitlines()
    assert first == "web-1 could reach 1 of 1 VMs"
    assert header.split() == ["hop", "reached", "from", "by", "rules"]
    assert step.split() == ["1", "db-1", "web-1", "tcp/3306", "shop/web-db"]
    assert last == "greatest part: rule shop/web-db, shop.yaml:17: without it 0 VMs"


def test_one_vm_as_json(shop):
    rule = {
        "tier": "application", "tenant": None, "policy": "shop", "rule": "web-db", "file": "shop.yaml", "line": 17,
    }  # fmt: skip
    assert json.loads(told("web-1", "--compare", "none", "--json")) == {
        "from": "web-1",
        "hops": None,
        "reached": 1,
        "of": 1,
        "outside": False,
        "compared": [{"hops": 1, "reached": 1, "flat": 1}],
        "steps": [
            {"hop": 1, "from": ["web-1"], "to": ["db-1"], "outside": False, "services": ["tcp/3306"], "rules": [rule]}
        ],
        "rules": [{**rule, "pairs": 1, "without": 0}],
    }


def test_from_outside(shop):
    assert told("--from-outside").startswith("the outside could reach 2 of 2 VMs\n")
    assert told("--from-outside", "--hops", "1").startswith("the outside could reach 1 of 2 VMs within 1 hop\n")
    assert told("--from-outside", "--ignore", "tcp/443").startswith("the outside could reach 0 of 2 VMs\n")
    assert told("--from-outside", "--ignore", "tcp/443", "--icmp").startswith("the outside could reach 2 of 2 VMs\n")


def test_all(shop):
    lines = told("--compare", "none").splitlines()
    assert lines[0].split() == ["from", "at", "once", "in", "the", "end", "outside"]
    assert [line.split()[-3:] for line in lines[1:4]] == [["1", "2", "-"], ["1", "1", "-"], ["1", "1", "-"]]
    assert "and 2 more" in told("--top", "1")
    value = json.loads(told("--json"))
    assert value["pairs"] == 2
    assert [each["vms"] for each in value["ranking"]] == [[], ["web-1"], ["db-1"]]
    assert [each["rule"] for each in value["rules"]] == ["clients", "web-db"]


def test_picture(shop):
    root = ET.fromstring(told("--from-outside", "--svg"))
    assert root.tag == f"{SVG}svg"
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert {"start", "hop 1", "hop 2", "the outside", "web-1", "db-1"} <= set(texts)
    assert [each.text for each in root.iter(f"{SVG}title")][:1] == ["tcp/443: shop/clients"]
    assert not [each for each in root.iter() if any("href" in key for key in each.attrib)]


def test_dot(shop):
    assert '"start" -> "2" [label="tcp/3306\\nshop/web-db"];' in told("web-1", "--dot")


def test_of_many_vms_alike_the_picture_shows_some(shop):
    vms = "".join(f"  n-{number}: {{labels: {{role: db}}, network: prod}}\n" for number in range(500))
    text = (shop / "shop.yaml").read_text()
    (shop / "shop.yaml").write_text(text.replace("groups:\n", vms + "groups:\n"))
    picture = told("web-1", "--svg")
    assert ">n-0, n-1 and 498 more<" in picture
    assert len(picture) < 5000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["web-2"], "no VM is called 'web-2'; did you mean 'web-1'?"),
        (["web-1", "--from-outside"], "give either"),
        (["--svg"], "show one VM"),
        (["web-1", "--svg", "--json"], "exclude each other"),
        (["web-1", "--ignore", "https"], "is not a term"),
        (["web-1", "--hops", "0"], "--hops"),
        (["web-1", "--compare", "flat"], "--compare"),
    ],
)
def test_wrong_usage(shop, words, message):
    result = portcullis("blast-radius", "shop.yaml", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_policy_that_does_not_load_is_no_answer(shop):
    (shop / "shop.yaml").write_text("version: 2\n")
    result = portcullis("blast-radius", ".", "web-1", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
