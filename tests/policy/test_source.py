"""YAML: the core schema's scalars, what of YAML has no place in a policy, marks, and bounds."""

import pytest

from policy.errors import PolicyError
from policy.load import load_texts
from policy.nodes import Kind, Mapping, Scalar, Sequence
from policy.problems import Problems
from policy.source import MAX_ALIASES, MAX_NESTING, MAX_NODES, MAX_SCALAR, Budget, kind_of, read


def tree(text):
    problems = Problems()
    node = read("p.yaml", text if isinstance(text, bytes) else text.encode(), Budget(), problems)
    problems.check()
    return node


def refusal(text):
    """Line, column and message of the only problem of a file."""
    with pytest.raises(PolicyError) as raised:
        tree(text)
    (problem,) = raised.value.problems
    assert problem.place.file == "p.yaml"
    return problem.place.line, problem.place.column, problem.message


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        *((text, Kind.TEXT) for text in ("no", "yes", "on", "off", "y", "52:54:00:00:00:01", "190:20:30", "1_000")),
        *((text, Kind.TEXT) for text in ("2001-12-14", "=", "0b1", "1.2.3", "tcp/80", "é", "-", "+", ".", "0x", "٣")),
        *((text, Kind.INTEGER) for text in ("0", "-1", "+7", "010", "0o17", "0xfF")),
        *((text, Kind.FLOAT) for text in ("1.5", ".5", "1.", "1e3", "-1.5E-3", ".inf", "-.INF", ".nan")),
        *((text, Kind.BOOLEAN) for text in ("true", "True", "TRUE", "false", "False", "FALSE")),
        *((text, Kind.NULL) for text in ("", "~", "null", "Null", "NULL")),
    ],
)
def test_core_schema(text, kind):
    assert kind_of(text) is kind


def test_quoted_scalars_are_text():
    root = tree('a: "1"\nb: \'true\'\nc: ""\nd: |\n  1\n')
    assert [value.kind for _, value in root.entries] == [Kind.TEXT] * 4


def test_marks_are_in_characters_of_the_file():
    root = tree("é: {ü: [x, 'y z', \"w\"]}\nb:\n  - 1\n")
    (_, first), (second_key, second) = root.entries
    assert isinstance(first, Mapping) and first.flow and (first.line, first.column) == (1, 4)
    (inner_key, inner) = first.entries[0]
    assert isinstance(inner, Sequence) and (inner_key.line, inner_key.column) == (1, 5)
    assert [(item.line, item.column) for item in inner.items] == [(1, 9), (1, 12), (1, 19)]
    assert (second_key.line, second_key.column, second.line, second.column) == (2, 1, 3, 3)
    assert isinstance(root, Mapping) and not root.flow


@pytest.mark.parametrize(
    ("text", "offset", "place"),
    [
        ("a: plain text", 6, (1, 10)),
        ("a: 'quoted text'", 7, (1, 12)),
        ('a: "quoted text"', 7, (1, 12)),
        ('a: "esc\\taped"', 5, (1, 4)),  # escapes: only the beginning is known
        ("a: two\n  lines", 5, (1, 4)),
        ("a: >\n  folded", 3, (1, 4)),
    ],
)
def test_places_inside_scalars(text, offset, place):
    scalar = tree(text).entries[0][1]
    assert isinstance(scalar, Scalar)
    found = scalar.place_of(offset)
    assert (found.line, found.column) == place


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n", "--- # nothing\n...\n", "~", "\ufeff"])
def test_empty_files_are_nothing(text):
    assert tree(text) is None


@pytest.mark.parametrize("text", ["\ufeffa: 1", "%YAML 1.2\n---\na: 1", "a: 1\n...\n", "---\na: 1\r\n"])
def test_what_a_file_may_have_around(text):
    assert tree(text).entries[0][0].text == "a"


@pytest.mark.parametrize(
    ("text", "line", "column", "word"),
    [
        ("a: 1\n---\nb: 2\n", 2, 1, "second document"),
        ("a: 1\n---\n", 2, 1, "second document"),
        ("a: 1\nb: 2\na: 3\n", 3, 1, "already at line 1, column 1"),
        ("x: {a: 1, 'a': 2}\n", 1, 11, "already at line 1, column 5"),
        ("x:\n  <<: {a: 1}\n", 2, 3, "merge"),
        ("? [a, b]\n: c\n", 1, 3, "key"),
        ("a: !!int '3'\n", 1, 4, "!!int"),
        ("a: !!python/object:os.system {}\n", 1, 4, "tag"),
        ("%TAG ! tag:x,2000:\n---\na: 1\n", 1, 1, "directive"),
        ("\ufeff%TAG ! tag:x,2000:\n---\na: 1\n", 1, 1, "directive"),
        ("- a\n- b\n", 1, 1, "mapping"),
        ("text\n", 1, 1, "mapping"),
        ("a: [1, 2\nb: 3\n", 2, 2, "not YAML"),
        ("a: b: c\n", 1, 5, "not YAML"),
        ("é: 1\nb:\n\tc: 1\n", 3, 1, "a tab; YAML is indented with spaces"),
        ("a:\n  b: 1\n   c: 2\n", 3, 5, "not YAML: mapping values are not allowed in this context"),
        ("a:\n  b: {}\n   c: {}\n", 3, 4, "(while parsing a block mapping that begins at line 2)"),
        ("a: *b\n", 1, 4, "no anchor 'b'"),
        ("a: &b {c: *b}\n", 1, 11, "within its own anchor"),
        ("a: x\x00\n", 1, 5, "control characters"),
        ("é: x\n\x07", 2, 1, "control characters"),
        (b"a: 1\nb: \xe9t\xe9\n", 2, 4, "0xe9 here is not UTF-8"),
        ("a: 1".encode("utf-16"), 1, 1, "not UTF-8"),
        ("a: \ud800".encode("utf-8", "surrogatepass"), 1, 4, "not UTF-8"),
    ],
)
def test_refusals(text, line, column, word):
    found = refusal(text)
    assert found[:2] == (line, column)
    assert word in found[2]


def test_anchors_are_fine():
    root = tree("a: &x [1, 2]\nb: *x\nc: [*x, *x]\n")
    assert [item.text for item in root.entries[1][1].items] == ["1", "2"]


def test_nesting_is_bounded():
    def nested(depth):
        return "a: " + "[" * (depth - 1) + "]" * (depth - 1)  # the file's mapping is the first level

    assert tree(nested(MAX_NESTING))
    line, column, message = refusal(nested(MAX_NESTING + 1))
    assert (line, column) == (1, 4 + MAX_NESTING - 1) and "nested" in message


def test_nesting_is_bounded_with_aliases_expanded():
    def doubled(depth):
        return f"a: &x {'[' * depth}{']' * depth}\nb: {'[' * depth}*x{']' * depth}"

    assert tree(doubled((MAX_NESTING - 1) // 2))
    assert "aliases expanded" in refusal(doubled((MAX_NESTING - 1) // 2 + 1))[2]


def test_aliases_are_bounded():
    def aliases(count):
        return "a: &x 1\nb: [" + ",".join(["*x"] * count) + "]"

    assert tree(aliases(MAX_ALIASES))
    assert "aliases" in refusal(aliases(MAX_ALIASES + 1))[2]


def test_expansion_is_bounded():
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 20)]
    line, _, message = refusal("\n".join(lines))
    assert f"{MAX_NODES:,} nodes" in message
    assert line == 6  # 10 ** 6 nodes are reached there


def test_one_budget_for_all_files():
    budget, problems = Budget(), Problems()
    budget.nodes = 8  # a mapping, three keys, three values: 7
    assert read("a.yaml", b"a: 1\nb: 2\nc: 3", budget, problems)
    assert read("b.yaml", b"a: 1", budget, problems) is None
    (problem,) = problems.error().problems
    assert problem.place.file == "b.yaml"


def test_scalars_are_bounded():
    assert tree("a: " + "x" * MAX_SCALAR)
    assert "characters" in refusal("a: " + "x" * (MAX_SCALAR + 1))[2]


def test_characters_are_bounded_with_aliases_expanded():
    budget, problems = Budget(), Problems()
    budget.characters = 100
    assert read("a.yaml", b"a: &x 0123456789\nb: [*x, *x, *x, *x, *x]", budget, problems)
    budget.characters = 50
    assert read("a.yaml", b"a: &x 0123456789\nb: [*x, *x, *x, *x, *x]", budget, problems) is None


def test_what_cannot_be_read_hides_no_other_problem_and_invents_none():
    files = {"a.yaml": b"version: 1\ngroups: {web: {any_of: db}}\nnonsense: 1\n", "b.yaml": b"groups: {db: [}"}
    with pytest.raises(PolicyError) as raised:
        load_texts(files)
    # No word of the group `db`, which is most likely defined in the broken file.
    assert [(p.place.file, p.place.line) for p in raised.value.problems] == [("a.yaml", 3), ("b.yaml", 1)]
