"""`portcullis init`: what it writes is right, and it writes over nothing."""

import pytest

from policy.starter.files import FILES
from tests.commands.conftest import portcullis


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("words", [[], ["fire wall"], ["."]])
def test_what_it_writes_is_right(here, words):
    made = portcullis("init", *words)
    assert (made.exit_code, made.stderr) == (0, "")
    folder = here / (words[0] if words else ".")
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.yaml")) == sorted(FILES)
    assert portcullis("check", folder / "policy").exit_code == 0
    tested = portcullis("test", folder / "policy", folder / "cases.yaml")
    assert (tested.exit_code, tested.stderr) == (0, "")
    assert "warning" not in portcullis("lint", folder / "policy").stdout
    asked = portcullis("explain", folder / "policy", "--from", "web-1", "--to", "db-1", "--service", "tcp/5432")
    assert asked.exit_code == 0


def test_it_teaches_every_tier_and_how_to_go_on():
    text = FILES["policy/policies.yaml"]
    for word in ("emergency", "infrastructure", "environment", "application", "baseline", "audit", "never", "explain"):
        assert word in text


@pytest.mark.parametrize("there", ["cases.yaml", "policy/mine.yaml", "policy/groups.yaml"])
def test_nothing_is_overwritten(here, there):
    (here / "policy").mkdir()
    (here / there).write_text("mine")
    result = portcullis("init")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "nothing was written" in result.stderr
    assert [path.read_text() for path in here.rglob("*.yaml")] == ["mine"]


def test_a_dangling_symlink_is_not_written_through(here):
    (here / "cases.yaml").symlink_to(here / "elsewhere")
    assert portcullis("init").exit_code == 2
    assert not (here / "elsewhere").exists()


@pytest.mark.parametrize("folder", ["file/x", "file"])
def test_where_nothing_can_be_written(here, folder):
    (here / "file").write_text("")
    result = portcullis("init", folder)
    assert result.exit_code == 2
    assert "cannot write" in result.stderr
