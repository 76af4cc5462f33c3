"""Reading from disk: directories, symlinks, special files, names, sizes, and nothing that hangs."""

import os
import socket

import pytest

from policy import files
from policy.errors import PolicyError, PolicyNotFound
from policy.load import load, load_texts

NOBODY = 65534


def write(folder, **texts):
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_yaml", ".yaml").replace("_yml", ".yml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names(document):
    return {vm.name for vm in document.inventory.vms}


def refusal(path):
    with pytest.raises(PolicyError) as raised:
        load(path)
    (problem,) = raised.value.problems
    return problem.place.file, problem.message


@pytest.fixture
def not_root(tmp_path):
    """Runs something as somebody whom permissions bind: root becomes `nobody` for the time."""

    def run(action):
        if os.geteuid() != 0:
            return action()
        for folder in (tmp_path, *tmp_path.parents):  # pytest keeps its folders to their owner
            if folder.owner() == "root" and not folder.stat().st_mode & 0o001:
                opened.append((folder, folder.stat().st_mode & 0o7777))
                folder.chmod(folder.stat().st_mode | 0o055)
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        try:
            return action()
        finally:
            os.seteuid(0)
            os.setegid(0)

    opened = []
    yield run
    for folder, mode in opened:
        folder.chmod(mode)


def test_a_directory_is_read_recursively(tmp_path):
    write(tmp_path, a_yaml="version: 1\nvms: {a: {}}", sub__deeper__b_yml="vms: {b: {}}", notes="not: a: policy")
    write(tmp_path, **{".hidden_yaml": "vms: {h: {}}", ".folder__c_yaml": "vms: {c: {}}", "empty_yaml": ""})
    document = load(tmp_path)
    assert names(document) == {"a", "b"}
    assert {vm.place.file for vm in document.inventory.vms} == {"a.yaml", "sub/deeper/b.yml"}
    assert names(load(str(tmp_path))) == {"a", "b"}


def test_one_file_is_called_by_its_name(tmp_path):
    write(tmp_path, **{"policy.txt": "version: 1\nvms: {a: {}}"})
    assert load(tmp_path / "policy.txt").inventory.vms[0].place.file == "policy.txt"


def test_the_same_as_from_texts(tmp_path):
    write(tmp_path, a_yaml="version: 1", sub__b_yaml="vms: {b: {}}")
    assert load(tmp_path) == load_texts({"sub/b.yaml": b"vms: {b: {}}", "a.yaml": b"version: 1"})


def test_symlinks_are_followed(tmp_path):
    write(tmp_path / "elsewhere", a_yaml="version: 1\nvms: {a: {}}", more__b_yaml="vms: {b: {}}")
    policy = tmp_path / "policy"
    policy.mkdir()
    (policy / "one.yaml").symlink_to(tmp_path / "elsewhere" / "a.yaml")
    (policy / "folder").symlink_to(tmp_path / "elsewhere" / "more")
    assert names(load(policy)) == {"a", "b"}


def test_the_layout_of_a_mounted_config_map(tmp_path):
    write(tmp_path / "..2026", a_yaml="version: 1\nvms: {a: {}}")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    assert names(load(tmp_path)) == {"a"}


@pytest.mark.parametrize(("link", "target"), [("up", ".."), ("here", "."), ("x.yaml", "x.yaml"), ("self", "self")])
def test_symlink_loops(tmp_path, link, target):
    folder = tmp_path / "sub"
    folder.mkdir()
    (folder / link).symlink_to(target)
    write(tmp_path, a_yaml="version: 1")
    file, message = refusal(tmp_path)
    assert file == f"sub/{link}"
    assert "loop" in message


@pytest.mark.parametrize("link", ["gone.yaml", "gone"])
def test_a_symlink_to_nothing(tmp_path, link):
    write(tmp_path, a_yaml="version: 1")
    (tmp_path / link).symlink_to("nothing")
    file, message = refusal(tmp_path)
    assert file == link
    assert "No such file" in message


def test_special_files(tmp_path):
    write(tmp_path, a_yaml="version: 1")
    os.mkfifo(tmp_path / "pipe.yaml")
    assert refusal(tmp_path) == ("pipe.yaml", "not a plain file")
    assert refusal(tmp_path / "pipe.yaml") == ("pipe.yaml", "not a plain file")
    (tmp_path / "pipe.yaml").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s.yaml"))
        assert refusal(tmp_path) == ("s.yaml", "not a plain file")
    (tmp_path / "s.yaml").unlink()
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    assert refusal(tmp_path) == ("zero.yaml", "not a plain file")


def test_nothing_there(tmp_path):
    for place in (tmp_path / "nowhere", tmp_path / "nowhere" / "a.yaml", tmp_path):
        with pytest.raises(PolicyNotFound) as raised:
            load(place)
        (problem,) = raised.value.problems
        assert str(problem).startswith(f"{place}:1:1: ")
    with pytest.raises(PolicyNotFound):
        load_texts({})
    with pytest.raises(PolicyError):
        load("a\x00b")


def test_unreadable(tmp_path, not_root):
    write(tmp_path, a_yaml="version: 1", sub__b_yaml="")
    (tmp_path / "a.yaml").chmod(0)
    assert "Permission denied" in not_root(lambda: refusal(tmp_path))[1]
    (tmp_path / "a.yaml").chmod(0o644)
    (tmp_path / "sub").chmod(0)
    file, message = not_root(lambda: refusal(tmp_path))
    assert file == "sub" and "cannot list this folder: Permission denied" in message


def test_names_that_would_spoil_the_terminal(tmp_path):
    write(tmp_path, a_yaml="version: 1")
    (tmp_path / "b\x1b[2J.yaml").write_text("")
    assert refusal(tmp_path) == ("b\\x1b[2J.yaml", "a file name must be printable UTF-8")
    (tmp_path / "b\x1b[2J.yaml").unlink()
    (tmp_path / os.fsdecode(b"b\xff.yaml")).write_text("")
    file, _ = refusal(tmp_path)
    assert file.isprintable()


def test_sizes_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_FILE", 2**20)
    monkeypatch.setattr(files, "MAX_TOTAL", 2 * 2**20)
    write(tmp_path, a_yaml="version: 1\n", b_yaml="#" * 2**20)
    assert load(tmp_path)
    write(tmp_path, b_yaml="#" * (2**20 + 1))
    assert refusal(tmp_path) == ("b.yaml", "larger than 1 MiB")
    write(tmp_path, b_yaml="#" * 2**20, c_yaml="#" * 2**20)
    file, message = refusal(tmp_path)
    assert file == "c.yaml"
    assert "2 MiB together" in message


def test_entries_and_depth_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MAX_ENTRIES", 5)
    monkeypatch.setattr(files, "MAX_FOLDERS", 2)
    write(tmp_path, a_yaml="version: 1", b_yaml="", one__c_yaml="")
    assert load(tmp_path)
    write(tmp_path, one__two__d_yaml="")
    assert "deep" in refusal(tmp_path)[1]
    (tmp_path / "one" / "two" / "d.yaml").unlink()
    (tmp_path / "one" / "two").rmdir()
    write(tmp_path, e_yaml="", f_yaml="")
    assert "5 names" in refusal(tmp_path)[1]


def test_the_bounds_are_the_languages():
    assert files.MAX_FILE == 16 * 2**20
    assert files.MAX_TOTAL == 64 * 2**20


def test_many_ways_to_one_folder_are_no_endless_walk(tmp_path):
    """Each folder links to the next twice: 2 ** 20 ways to the last. They end at the bound of entries."""
    for depth in range(20):
        folder = tmp_path / str(depth)
        folder.mkdir()
        for twin in "ab":
            (folder / twin).symlink_to(tmp_path / str(depth + 1))
    (tmp_path / "20").mkdir()
    with pytest.raises(PolicyError, match=f"{files.MAX_ENTRIES:,} names"):
        load(tmp_path / "0")
