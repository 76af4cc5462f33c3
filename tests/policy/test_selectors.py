"""Selectors: what each form picks, what is refused and where, and that nothing makes them slow."""


import pytest

from policy.selectors import MAX_LENGTH, MAX_NESTING, MAX_PATTERN, SelectorError, parse_selector
from topology.vnic import Vnic

WEB = Vnic(
    id="if-1",
    vm="web-1",
    vm_id="id-1",
    tenant="acme",
    labels={"role": "web", "env": "prod", "in": "x", "not": "y", "app.kubernetes.io/name": "shop"},
    mac="52:54:00:00:00:0a",
    network="prod",
    host="hv-1",
    bridge="br-int",
)
UNKNOWN = Vnic(id="if-2")


@pytest.mark.parametrize(
    "text",
    [
        "role == web",
        "role == 'web'",
        'role == "web"',
        "role != db",
        "role in (db, web)",
        "role not in (db, 'cache')",
        'role like "w*"',
        "role like 'w?b'",
        'role like "[v-x]eb"',
        "role like '[!a]eb'",
        "has(role)",
        "has ( role )",
        "not has(owner)",
        "all()",
        "not role == db",
        "not not role == web",
        "role == db or env == prod and role == web",  # and before or
        "not role == db and env == prod",  # not before and
        "not (role == web and env == dev)",
        "(role == db or role == web) and env == prod",
        "role==web and\n  env==prod",
        "app.kubernetes.io/name == shop",
        # Missing labels: false for ==, in, like; true for != and not in.
        "owner != x",
        "owner not in (x)",
        "not owner == x",
        "not owner in (x)",
        "not owner like '*'",
        # Words of the language are words where only a word can stand.
        "in == x",
        "has(not)",
        "role != in and role != not and role != or",
        "nothing != x",
        # Attributes.
        "vm.name == web-1 and vm.id == id-1 and vm.tenant == acme",
        "vnic.id == if-1 and vnic.network == prod and vnic.host == hv-1 and vnic.bridge == br-int",
        "vnic.mac == '52:54:00:00:00:0A'",
        "vnic.mac like '52:54:*:0A'",
        "has(vnic.host)",
    ],
)
def test_picks(text):
    assert parse_selector(text).matches(WEB)
    assert not parse_selector(f"not ({text})").matches(WEB)


@pytest.mark.parametrize(
    "text",
    [
        "role == Web",
        "role in (webs, we)",
        "role like w",
        "role like 'W*'",
        "owner == x",
        "owner in (x)",
        "owner like '*'",
        "has(owner)",
        "not all()",
        "not role == web and env == prod",
        "role == web and (env == dev or env == test)",
    ],
)
def test_does_not_pick(text):
    assert not parse_selector(text).matches(WEB)


@pytest.mark.parametrize(
    "name", ["vm.name", "vm.id", "vm.tenant", "vnic.network", "vnic.host", "vnic.bridge", "vnic.mac"]
)
def test_attributes_of_an_unknown_vnic_are_missing_labels(name):
    assert not parse_selector(f"has({name})").matches(UNKNOWN)
    assert parse_selector(f"{name} != x").matches(UNKNOWN)


def test_a_label_cannot_pretend_to_be_an_attribute():
    pretender = Vnic(id="if-3", labels={"vm.tenant": "acme"})
    assert not parse_selector("vm.tenant == acme").matches(pretender)


@pytest.mark.parametrize(
    ("text", "offset", "words"),
    [
        ("", 0, "found the end"),
        ("role", 4, "'=='"),
        ("role = web", 5, "'=='"),
        ("role == web && env == prod", 12, "'and'"),
        ("role == web || env == prod", 12, "'or'"),
        ("!role == web", 0, "'not'"),
        ("role == 'web", 8, "never closed"),
        ("role in (a, b", 13, "')'"),
        ("role in ()", 9, "a word"),
        ("role in web", 8, "'('"),
        ("role == web env == prod", 12, "'env'"),
        ("role == web)", 11, "the end"),
        ("role == é", 8, "'é'"),
        ("vm.nam == web", 0, "vm.name"),
        ("env == x or has(vnic.mtu)", 16, "vnic.mac"),
        ("role like w*", 11, "quotes"),
        ("role > web", 5, "'like'"),
    ],
)
def test_refusals_tell_where_and_what(text, offset, words):
    with pytest.raises(SelectorError) as raised:
        parse_selector(text)
    assert raised.value.offset == offset
    assert words in str(raised.value)


def test_values():
    assert parse_selector("a == b") == parse_selector("a == b")
    assert len({parse_selector("a == b"), parse_selector("a == b"), parse_selector("a == c")}) == 2
    assert parse_selector(" a  == b").text == " a  == b"
    with pytest.raises(AttributeError):
        parse_selector("a == b").text = "c"


def test_length_is_bounded():
    assert parse_selector("a == '" + "b" * (MAX_LENGTH - 7) + "'")
    with pytest.raises(SelectorError, match="characters"):
        parse_selector("a == '" + "b" * (MAX_LENGTH - 6) + "'")


def test_patterns_are_bounded():
    assert parse_selector("a like '" + "*" * MAX_PATTERN + "'")
    with pytest.raises(SelectorError, match="pattern"):
        parse_selector("a like '" + "*" * (MAX_PATTERN + 1) + "'")


def test_nesting_is_bounded():
    assert parse_selector("(" * MAX_NESTING + "a == b" + ")" * MAX_NESTING)
    with pytest.raises(SelectorError) as raised:
        parse_selector("(" * (MAX_NESTING + 1) + "a == b" + ")" * (MAX_NESTING + 1))
    assert raised.value.offset == MAX_NESTING
    assert parse_selector("a == '" + "(" * 100 + "'")  # in a string it is only text
    assert parse_selector("not " * 900 + "a == b").matches(UNKNOWN) is False


@pytest.mark.parametrize("pattern", ["*a" * 100 + "b", "*" * 200 + "b", "?*" * 100 + "b", "[a]*" * 60 + "b"])
def test_globs_do_not_blow_up(pattern):
    selector = parse_selector(f"x like '{pattern}'")
    vnic = Vnic(id="i", labels={"x": "a" * 255})
    # A pattern that tries all ways would not come to an end before pytest's time limit.
    assert not selector.matches(vnic)
