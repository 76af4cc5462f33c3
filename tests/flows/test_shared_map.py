"""Versions of a mapping: each says what a dict would, and what has changed since another is just that."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from policy.flows.shared_map import SharedMap

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
