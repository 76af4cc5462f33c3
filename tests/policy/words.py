"""The words in which the tests of the loader speak.

A test writes a policy with a `§` in front of everything that is wrong with it; the loader must find just that, there.
"""

from textwrap import dedent

import pytest

from policy.errors import PolicyError
from policy.load import load_texts
from tests.policy.schema import complaints

MARK = "§"
LONGEST_CHECKED = 20_000  # bytes of a file that is held against the schema: larger ones are many of the same


def document(text, **more):
    """The document of one file (and ``more`` files by name), `version: 1` added at its end.

    What the loader takes, the schema for editors must take too.
    """
    files = _files(text, more)
    loaded = load_texts(files)
    for content in files.values():
        if len(content) <= LONGEST_CHECKED:
            assert complaints(content) == []
    return loaded


def refused(text, *words, **more):
    """The policy has a problem at each mark, in this order, and no other; each message holds its words."""
    text = dedent(text)
    places = []
    while MARK in text:
        before, after = text.split(MARK, 1)
        places.append((before.count("\n") + 1, len(before) - before.rfind("\n")))
        text = before + after
    with pytest.raises(PolicyError) as raised:
        load_texts(_files(text, more))
    found = raised.value.problems
    told = "\n".join(map(str, found))
    assert [(problem.place.line, problem.place.column) for problem in found] == places, told
    assert len(words) in (0, len(places)), "as many words as marks"
    for problem, expected in zip(found, words, strict=False):
        for word in (expected,) if isinstance(expected, str) else expected:
            assert word in problem.message, told
    return found


def _files(text, more):
    texts = {"p.yaml": dedent(text).rstrip("\n") + "\nversion: 1\n"}
    texts.update({f"{name}.yaml": dedent(content) for name, content in more.items()})
    return {name: content.encode() for name, content in texts.items()}
