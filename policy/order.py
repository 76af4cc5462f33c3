"""Puts names that refer to each other in an order in which each comes after those it refers to, and finds cycles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

_SHOWN = 8  # names of a cycle in a message


def in_order(references: Mapping[str, Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    """All names, those referred to first; and the cycles met, each as the names on it.

    References to unknown names are passed over, as is the reference that closes a cycle. No recursion: a chain of
    references may be as long as the policy.
    """
    done: dict[str, None] = {}
    cycles: list[list[str]] = []
    for start in references:
        path: dict[str, Iterator[str]] = {}  # the names we came by, in order, with what each still refers to
        if start not in done:
            path[start] = iter(references[start])
        while path:
            name, rest = next(reversed(path.items()))
            following = next(rest, None)
            if following is None:
                del path[name]
                done[name] = None
            elif following in path:
                names = list(path)
                cycles.append(names[names.index(following) :])
            elif following in references and following not in done:
                path[following] = iter(references[following])
    return list(done), cycles


def cycle_text(names: Sequence[str]) -> str:
    """`a -> b -> a`, shortened where it is long."""
    shown = list(names[:_SHOWN]) + (["…"] if len(names) > _SHOWN else [])
    return " -> ".join([*shown, names[0]])
