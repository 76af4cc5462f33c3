"""Versions of a mapping: each says what a dict would, and what has changed since another is just that."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from itertools import pairwise
from weakref import ref

from hypothesis import given
from hypothesis import strategies as st

from topology.shared_map import SharedMap, changed_keys, shared

changes = st.dictionaries(st.integers(0, 600), st.one_of(st.none(), st.integers(0, 2)), max_size=20)


@given(st.lists(changes, max_size=6), st.data())
def test_versions(several, data):
    versions, plain = [SharedMap()], [{}]
    for each in several:
        versions.append(versions[-1].with_changes(each))
        plain.append({key: value for key, value in (plain[-1] | each).items() if value is not None})
    for version, expected in zip(versions, plain, strict=True):
        assert dict(version) == expected and len(version) == len(expected)
    for before, after in pairwise(versions):
        assert (before is after) == (dict(before) == dict(after))
    one, two = (data.draw(st.integers(0, len(several))) for _ in range(2))
    found = {key: (then, now) for key, then, now in versions[two].changes_since(versions[one])}
    assert found == {
        key: (plain[one].get(key), plain[two].get(key))
        for key in plain[one].keys() | plain[two].keys()
        if plain[one].get(key) != plain[two].get(key)
    }
    # It is remembered between which two versions that was.
    assert {key: (then, now) for key, then, now in versions[two].changes_since(versions[one])} == found
    assert changed_keys(versions[two], versions[one]) == found.keys()
    for version, expected in zip(versions, plain, strict=True):
        assert changed_keys(version, versions[one]) == {
            key for key in plain[one].keys() | expected.keys() if plain[one].get(key) != expected.get(key)
        }
        assert (version == versions[one]) == (expected == plain[one]) and version == expected == shared(expected)


class Key(str):
    """A key that takes long to look up, as that of an address does, and counts how often it is."""

    looked_up = 0

    def __hash__(self):
        Key.looked_up += 1
        return super().__hash__()


def test_where_only_values_have_changed_no_key_is_looked_up():
    keys = [Key(number) for number in range(1000)]
    before = SharedMap().with_changes(dict.fromkeys(keys, 1))
    after = before.with_changes(dict.fromkeys(keys[::2], 2))
    Key.looked_up = 0
    assert sum(1 for _ in after.changes_since(before)) == 500
    assert sum(value for _, value in after.pairs()) == 1500
    assert Key.looked_up == 0


def test_plain_mappings_are_compared_by_their_objects():
    one, other = object(), object()
    assert changed_keys({1: one, 2: one, 4: one}, {1: one, 2: other, 3: one}) == {2, 3, 4}
    assert changed_keys(shared({1: one}), {1: one, 2: other}) == {2}


def test_an_older_version_is_not_kept_alive():
    before = SharedMap().with_changes({1: 1})
    after = before.with_changes({1: 2})
    assert after.changes_since(before) == [(1, 1, 2)]
    alive = ref(before)
    del before
    assert alive() is None
    assert after.changes_since(SharedMap().with_changes({1: 3})) == [(1, 3, 2)]


def test_another_process_finds_what_was_pickled():
    told = pickle.dumps(shared({f"key {number}": number for number in range(1000)}))
    read = "import pickle, sys; held = pickle.load(sys.stdin.buffer); print(sum(held[key] for key in held))"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", read], input=told, env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True
        )
        assert (done.stdout.decode().strip(), done.returncode) == (str(sum(range(1000))), 0), done.stderr.decode()
