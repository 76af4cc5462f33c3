"""Selectors: a small language that picks vNICs by their labels, `role == web and not env in (dev, test)`.

Text becomes a tree of tests once, and the tree is asked for each vNIC. A label that is missing makes `==`, `in`, `like`
and `has` false, and `!=` and `not in` true. Length and nesting are bounded, so that neither parsing nor asking can be
made slow or deep by whoever writes a policy.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, v_args
from lark.exceptions import VisitError

from topology.vnic import Vnic

MAX_LENGTH = 4096  # characters
MAX_NESTING = 32  # parentheses within parentheses
MAX_PATTERN = 255  # characters of a `like` pattern: as many as the longest label value has

ATTRIBUTES: dict[str, Callable[[Vnic], str | None]] = {
    "vm.name": lambda vnic: vnic.vm,
    "vm.id": lambda vnic: vnic.vm_id,
    "vm.tenant": lambda vnic: vnic.tenant,
    "vnic.id": lambda vnic: vnic.id,
    "vnic.mac": lambda vnic: vnic.mac,
    "vnic.network": lambda vnic: vnic.network,
    "vnic.host": lambda vnic: vnic.host,
    "vnic.bridge": lambda vnic: vnic.bridge,
}
BUILT_IN_PREFIXES = ("vm.", "vnic.")

# Keywords end where a word ends (`nothing` is a word); `has` and `all` are keywords only before a parenthesis. The
# contextual lexer knows a keyword only where it may stand, so `role == in` compares with the word "in".
_GRAMMAR = r"""
    ?start: or_test
    ?or_test: and_test (_OR and_test)*
    ?and_test: not_test (_AND not_test)*
    ?not_test: _NOT not_test -> negate
        | test
    ?test: "(" or_test ")"
        | _HAS "(" WORD ")" -> has
        | _ALL "(" ")" -> everything
        | WORD _EQ value -> equal
        | WORD _NE value -> unequal
        | WORD _IN "(" values ")" -> within
        | WORD _NOT _IN "(" values ")" -> not_within
        | WORD _LIKE value -> like
    values: value ("," value)*
    value: WORD | QUOTED

    _EQ: "=="
    _NE: "!="
    _OR.2: /or(?![\w.\/-])/
    _AND.2: /and(?![\w.\/-])/
    _NOT.2: /not(?![\w.\/-])/
    _IN.2: /in(?![\w.\/-])/
    _LIKE.2: /like(?![\w.\/-])/
    _HAS.2: /has(?=\s*\()/
    _ALL.2: /all(?=\s*\()/
    WORD: /[A-Za-z0-9_.\/-]+/
    QUOTED: /"[^"]*"|'[^']*'/
    %ignore /[ \t\r\n]+/
"""

_READABLE = {
    "_OR": "'or'", "_AND": "'and'", "_NOT": "'not'", "_IN": "'in'", "_LIKE": "'like'",
    "_HAS": "'has(…)'", "_ALL": "'all()'",
    "_EQ": "'=='", "_NE": "'!='", "LPAR": "'('", "RPAR": "')'", "COMMA": "','",
    "WORD": "a word", "QUOTED": "a quoted string", "$END": "the end",
}  # fmt: skip

_SLIPS = {
    "=": "compare with '==' or '!='",
    "&": "write 'and'",
    "|": "write 'or'",
    "!": "write 'not', or '!=' between a label and a value",
    '"': "this quote is never closed",
    "'": "this quote is never closed",
    "<": "values are compared with '==', '!=', 'in', 'not in' and 'like' only",
    ">": "values are compared with '==', '!=', 'in', 'not in' and 'like' only",
}


class SelectorError(ValueError):
    """A selector that cannot be read; ``offset`` is the place in its text, in characters from 0."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class _Test(Protocol):
    def holds(self, vnic: Vnic) -> bool: ...

    def reads(self) -> frozenset[str]: ...


def attribute(vnic: Vnic, name: str) -> str | None:
    """A label or built-in attribute of a vNIC; None where it is missing."""
    built_in = ATTRIBUTES.get(name)
    return built_in(vnic) if built_in is not None else vnic.labels.get(name)


@dataclass(frozen=True, slots=True)
class _Everything:
    def holds(self, vnic: Vnic) -> bool:
        return True

    def reads(self) -> frozenset[str]:
        return frozenset()


@dataclass(frozen=True, slots=True)
class _Has:
    name: str

    def holds(self, vnic: Vnic) -> bool:
        return attribute(vnic, self.name) is not None

    def reads(self) -> frozenset[str]:
        return frozenset((self.name,))


@dataclass(frozen=True, slots=True)
class _Within:
    name: str
    values: frozenset[str]

    def holds(self, vnic: Vnic) -> bool:
        return attribute(vnic, self.name) in self.values

    def reads(self) -> frozenset[str]:
        return frozenset((self.name,))


@dataclass(frozen=True, slots=True)
class _Like:
    name: str
    pattern: re.Pattern[str]

    def holds(self, vnic: Vnic) -> bool:
        value = attribute(vnic, self.name)
        return value is not None and self.pattern.match(value) is not None

    def reads(self) -> frozenset[str]:
        return frozenset((self.name,))


@dataclass(frozen=True, slots=True)
class _Not:
    test: _Test

    def holds(self, vnic: Vnic) -> bool:
        return not self.test.holds(vnic)

    def reads(self) -> frozenset[str]:
        return self.test.reads()


@dataclass(frozen=True, slots=True)
class _And:
    tests: tuple[_Test, ...]

    def holds(self, vnic: Vnic) -> bool:
        return all(test.holds(vnic) for test in self.tests)

    def reads(self) -> frozenset[str]:
        return frozenset().union(*(test.reads() for test in self.tests))


@dataclass(frozen=True, slots=True)
class _Or:
    tests: tuple[_Test, ...]

    def holds(self, vnic: Vnic) -> bool:
        return any(test.holds(vnic) for test in self.tests)

    def reads(self) -> frozenset[str]:
        return frozenset().union(*(test.reads() for test in self.tests))


def _checked(label: Token) -> str:
    """The label's name. A built-in prefix without such an attribute is a slip, not a label that is always missing."""
    if label.startswith(BUILT_IN_PREFIXES) and label not in ATTRIBUTES:
        raise SelectorError(f"no attribute {str(label)!r}; there are {', '.join(ATTRIBUTES)}", label.start_pos or 0)
    return str(label)


def _spelled(name: str, value: str) -> str:
    """The value as vNICs spell it: MAC addresses are lower case."""
    return value.lower() if name == "vnic.mac" else value


@v_args(inline=True)
class _Builder(Transformer[Token, _Test]):
    """Makes the tests while the text is parsed, so no deep tree is ever walked here."""

    def or_test(self, *tests: _Test) -> _Test:
        return _Or(tests)

    def and_test(self, *tests: _Test) -> _Test:
        return _And(tests)

    def negate(self, test: _Test) -> _Test:
        return test.test if isinstance(test, _Not) else _Not(test)  # `not not not …` stays flat

    def has(self, label: Token) -> _Test:
        return _Has(_checked(label))

    def everything(self) -> _Test:
        return _Everything()

    def equal(self, label: Token, value: str) -> _Test:
        return self.within(label, (value,))

    def unequal(self, label: Token, value: str) -> _Test:
        return self.not_within(label, (value,))

    def within(self, label: Token, values: tuple[str, ...]) -> _Test:
        name = _checked(label)
        return _Within(name, frozenset(_spelled(name, value) for value in values))

    def not_within(self, label: Token, values: tuple[str, ...]) -> _Test:
        return _Not(self.within(label, values))

    def like(self, label: Token, value: str) -> _Test:
        name = _checked(label)
        if len(value) > MAX_PATTERN:
            raise SelectorError(f"a pattern has at most {MAX_PATTERN} characters", label.start_pos or 0)
        # translate() writes every `*` as an atomic group: matching never backtracks over an earlier star.
        return _Like(name, re.compile(fnmatch.translate(_spelled(name, value))))

    def values(self, *values: str) -> tuple[str, ...]:
        return values

    def value(self, token: Token) -> str:
        return str(token)[1:-1] if token.type == "QUOTED" else str(token)


_PARSER = Lark(_GRAMMAR, parser="lalr", lexer="contextual", transformer=_Builder(), maybe_placeholders=False)
_STRING = re.compile(r"\"[^\"]*\"|'[^']*'")


@dataclass(frozen=True, slots=True)
class Selector:
    """A selector that was read: its text (by which it is compared and hashed) and its meaning."""

    text: str
    _test: _Test = field(compare=False, repr=False)

    def matches(self, vnic: Vnic) -> bool:
        """True if the selector picks this vNIC."""
        return self._test.holds(vnic)

    def reads(self) -> frozenset[str]:
        """The labels and attributes on which it depends: it tells no two vNICs apart that have these in common."""
        return self._test.reads()

    def needs(self) -> tuple[tuple[str, frozenset[str]], ...]:
        """Labels and attributes of which a vNIC must have one of the values to be picked: good to look it up by."""
        return _needed(self._test)


def _needed(test: _Test) -> tuple[tuple[str, frozenset[str]], ...]:
    if isinstance(test, _Within):
        return ((test.name, test.values),)
    return tuple(need for part in test.tests for need in _needed(part)) if isinstance(test, _And) else ()


def _bound(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise SelectorError(f"a selector has at most {MAX_LENGTH} characters", 0)
    depth = 0
    for offset, character in enumerate(_STRING.sub(lambda string: " " * len(string.group()), text)):
        depth += (character == "(") - (character == ")")
        if depth > MAX_NESTING:
            raise SelectorError(f"parentheses are nested at most {MAX_NESTING} deep", offset)


def _told(error: UnexpectedInput, text: str) -> SelectorError:
    """Lark's error in the operator's words."""
    if isinstance(error, UnexpectedCharacters):
        offset = error.pos_in_stream or 0
        slip = _SLIPS.get(text[offset], "text other than letters, digits, '_', '-', '.' and '/' stands in quotes")
        return SelectorError(f"unexpected {text[offset]!r}: {slip}", offset)
    if isinstance(error, UnexpectedToken):
        at_end = error.token.type == "$END"
        offset = len(text) if at_end else error.token.start_pos or 0
        found = "the end" if at_end else repr(str(error.token)[:40])
        *others, last = sorted(_READABLE[name] for name in error.expected)
        expected = f"{', '.join(others)} or {last}" if others else last
        return SelectorError(f"expected {expected}, found {found}", offset)
    return SelectorError("this is not a selector", 0)


@lru_cache(maxsize=4096)
def parse_selector(text: str) -> Selector:
    """Reads a selector. Raises `SelectorError` with the offset of the first mistake."""
    _bound(text)
    try:
        return Selector(text, _PARSER.parse(text))  # type: ignore[arg-type]  # the transformer makes a _Test
    except VisitError as error:
        if isinstance(error.orig_exc, SelectorError):
            raise error.orig_exc from None
        raise
    except UnexpectedInput as error:
        raise _told(error, text) from None
