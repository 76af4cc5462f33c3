"""`portcullis import kubernetes` as a command: what it writes, tells and refuses. What it means: tests/kubernetes."""

from pathlib import Path

import pytest

from tests.commands.conftest import portcullis

GOOD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
status: {podIP: 10.0.1.1}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - ports: [{port: 443}]
"""
PARTIAL = GOOD + "  - from: [{ipBlock: {cidr: nowhere}}]\n"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "partial.yaml").write_text(PARTIAL)
    return tmp_path


def test_files_that_load_and_do_what_they_should(here):
    result = portcullis("import", "kubernetes", "good.yaml", "--output", "out/policy")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "imported: 1 VM, 3 policies, 4 rules\n"
    assert sorted(path.name for path in Path("out/policy").iterdir()) == ["inventory.yaml", "policies.yaml"]
    assert portcullis("check", "out/policy").exit_code == 0
    ask = ["explain", "out/policy", "--from", "192.0.2.1", "--to", "shop.web", "--service"]
    assert [portcullis(*ask, term).exit_code for term in ("tcp/443", "tcp/80")] == [0, 1]


def test_standard_output_is_one_policy_file(here):
    for result in (
        portcullis("import", "kubernetes", "good.yaml"),
        portcullis("import", "kubernetes", "-", stdin=GOOD),
    ):
        assert result.exit_code == 0
        Path("policy.yaml").write_text(result.stdout)
        assert portcullis("check", "policy.yaml").exit_code == 0


def test_nothing_is_written_if_something_is_lost(here):
    result = portcullis("import", "kubernetes", "partial.yaml", "--output", "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "partial.yaml:13:29: not carried over: NetworkPolicy shop/web: spec.ingress[1].from[0].ipBlock.cidr: "
        "'nowhere' is not an IPv4 or IPv6 address or CIDR; the peer is left out",
        "1 thing could not be carried over: nothing was written",
    ]
    assert not Path("out").exists()


def test_unless_told_so(here):
    result = portcullis("import", "kubernetes", "partial.yaml", "--output", "out", "--allow-partial")
    assert result.exit_code == 0
    assert result.stderr.endswith("imported: 1 VM, 3 policies, 4 rules; 1 thing was not carried over\n")
    assert portcullis("check", "out").exit_code == 0


def test_many_notes_of_a_kind_are_one_line(here):
    pods = [f"{{apiVersion: v1, kind: Pod, metadata: {{name: p{n}}}, status: {{phase: Failed}}}}" for n in range(5)]
    Path("ended.yaml").write_text("\n---\n".join(pods))
    result = portcullis("import", "kubernetes", "ended.yaml")
    assert result.stderr.splitlines()[0] == (
        "ended.yaml:1:1: note: Pod default/p0: has ended: it is left out (and 4 more like this)"
    )


def test_directories_are_read(here):
    Path("objects/sub").mkdir(parents=True)
    Path("good.yaml").rename("objects/sub/good.yaml")
    assert "# NetworkPolicy shop/web (objects/sub/good.yaml:6)" in portcullis("import", "kubernetes", "objects").stdout


def test_wrong_usage(here):
    Path("bad.yaml").write_text("a: [")
    for words, told in [
        (["nothing.yaml"], "there is no such file or directory"),
        (["bad.yaml"], "bad.yaml:2:1: error: not YAML"),
        ([], "Missing argument 'FILE...'"),
    ]:
        result = portcullis("import", "kubernetes", *words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert told in result.stderr
    assert portcullis("import").exit_code == 2


def test_nothing_is_overwritten(here):
    Path("out").mkdir()
    Path("out/policies.yaml").write_text("mine")
    result = portcullis("import", "kubernetes", "good.yaml", "--output", "out")
    assert result.exit_code == 2
    assert "already there" in result.stderr
    assert [path.name for path in Path("out").iterdir()] == ["policies.yaml"]
