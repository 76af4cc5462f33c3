"""`portcullis diff`: text, JSON, exit status, and policies out of Git."""

import json
import subprocess

import pytest

from tests.commands.conftest import portcullis


@pytest.fixture
def changed(shop):
    """new.yaml: web-1 may reach one more port of db-1, and the office is let to web-1 no more."""
    text = (shop / "shop.yaml").read_text()
    new = text.replace("allow: tcp/3306", "allow: [tcp/3306, tcp/3307]").replace("from: office, to: db", "from: office")
    assert new != text
    (shop / "new.yaml").write_text(new)
    return shop


def test_json_is_that_of_the_language(changed):
    result = portcullis("diff", "shop.yaml", "new.yaml", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    (change,) = found["widened"]
    assert change == {
        "from": ["web-1"],
        "to": ["db-1"],
        "services": ["tcp/3307"],
        "old": {"tier": "default", "tenant": None, "policy": None, "rule": None, "file": None, "line": None},
        "new": {
            "tier": "application",
            "tenant": None,
            "policy": "shop",
            "rule": "web-db",
            "file": "new.yaml",
            "line": change["new"]["line"],
        },
    }
    assert found["narrowed"] == []


def test_text(changed):
    lines = portcullis("diff", "shop.yaml", "new.yaml").stdout.splitlines()
    assert lines[0] == "widened: 1 change"
    assert lines[1] == "+ web-1 -> db-1: tcp/3307"
    assert lines[2] == "    was no rule allows it"
    assert lines[3].startswith("    now rule shop/web-db, tier application, new.yaml:")
    back = portcullis("diff", "new.yaml", "shop.yaml").stdout.splitlines()
    assert back[:2] == ["narrowed: 1 change", "- web-1 -> db-1: tcp/3307"]
    assert portcullis("diff", "shop.yaml", "shop.yaml").stdout == "no connection fares differently\n"


@pytest.mark.parametrize(
    ("old", "new", "fail_on", "status"),
    [
        ("shop.yaml", "new.yaml", "widen", 1),
        ("shop.yaml", "new.yaml", "any", 1),
        ("new.yaml", "shop.yaml", "widen", 0),
        ("new.yaml", "shop.yaml", "any", 1),
        ("shop.yaml", "shop.yaml", "any", 0),
    ],
)
def test_fail_on(changed, old, new, fail_on, status):
    assert portcullis("diff", old, new, "--fail-on", fail_on).exit_code == status
    assert portcullis("diff", old, new).exit_code == 0


def git(folder, *words):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(changed):
    """A repository: policy/ holds the old policy, and things that are no policy; the new one is not committed."""
    folder = changed / "policy"
    (folder / ".hidden").mkdir(parents=True)
    (folder / "shop.yaml").write_text((changed / "shop.yaml").read_text())
    (folder / ".hidden" / "bad.yaml").write_text("nonsense: [")
    (folder / "README").write_text("nonsense")
    git(changed, "init", "-q")
    git(changed, "add", "-A")
    git(changed, "commit", "-q", "-m", "first")
    (folder / "shop.yaml").write_text((changed / "new.yaml").read_text())
    return changed


@pytest.mark.parametrize(
    "words",
    [
        ("HEAD:policy", "policy"),
        ("HEAD:policy/shop.yaml", "policy/shop.yaml"),
        ("HEAD:./policy", "HEAD:new.yaml"),
    ],
)
def test_a_revision_of_git(repository, words):
    result = portcullis("diff", *words, "--fail-on", "widen")
    assert result.exit_code == 1, result.output
    assert "+ web-1 -> db-1: tcp/3307" in result.stdout


@pytest.mark.parametrize(
    "spec", ["HEAD:nothing", "no-such:policy", "--help:x", ":policy", "-q:policy", "HEAD:policy/.hidden/bad.yaml"]
)
def test_what_is_not_there_is_no_answer(repository, spec):
    result = portcullis("diff", "--", spec, "policy")
    assert result.exit_code == 2
    assert not result.stdout
    assert result.stderr


def test_a_symlink_in_git_is_not_followed(repository):
    (repository / "policy" / "link.yaml").symlink_to("shop.yaml")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "link")
    result = portcullis("diff", "HEAD:policy", "policy/shop.yaml")
    assert result.exit_code == 2 and "symlink" in result.stderr


def test_what_does_not_load_is_no_answer(changed):
    (changed / "new.yaml").write_text("version: 2\n")
    result = portcullis("diff", "shop.yaml", "new.yaml")
    assert result.exit_code == 2 and not result.stdout
    assert portcullis("diff", "shop.yaml", "none").exit_code == 2
