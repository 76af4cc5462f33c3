"""`portcullis report`: a page or JSON on standard output. What is in it is tested where the analysis is."""

import json

from tests.analysis.test_report import Page
from tests.commands.conftest import portcullis


def test_a_page_with_pictures(shop):
    result = portcullis("report", "shop.yaml")
    assert (result.exit_code, result.stderr) == (0, "")
    read = Page(result.stdout)
    told = "".join(read.texts)
    assert "shop/web-db (application)" in told
    assert "From the outside, up to 3 hops" in told
    assert read.tags.count("svg") == 2
    assert portcullis("report", "shop.yaml").stdout == result.stdout


def test_json(shop):
    result = portcullis("report", ".", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    value = json.loads(result.stdout)
    assert value["revision"] in portcullis("check", ".").stdout
    assert [each["code"] for each in value["lint"]] == ["PC104"]
    assert value["blast_radius"]["compared"] == [{"hops": 1, "reached": 2, "flat": 2}]


def test_a_policy_without_anything(shop):
    (shop / "shop.yaml").write_text("version: 1\n")
    assert "none" in Page(portcullis("report", "shop.yaml").stdout).texts


def test_no_policy_and_one_that_does_not_load(shop):
    assert portcullis("report", "nothing").exit_code == 2
    (shop / "shop.yaml").write_text("version: 2\n")
    result = portcullis("report", ".")
    assert (result.exit_code, result.stdout) == (2, "")
