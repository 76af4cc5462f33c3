"""A server that cannot accept a connection just now waits and goes on; Ryu's own would end, and say nothing more."""

from __future__ import annotations

import errno

import pytest

from ryu_apps import doors


def accepts(*answers: int | str):
    """An ``accept`` that fails with these errors, and in the end returns."""
    rest = list(answers)

    def accept() -> str:
        answer = rest.pop(0)
        if isinstance(answer, int):
            raise OSError(answer, "no")
        return answer

    return accept


def test_who_is_out_of_files_waits_and_goes_on(monkeypatch, caplog):
    pauses: list[float] = []
    monkeypatch.setattr(doors.hub, "sleep", pauses.append)
    assert doors.accepting(accepts(errno.EMFILE, errno.ENFILE, errno.ECONNABORTED, "somebody")) == "somebody"
    assert pauses == [doors.PAUSE] * 3
    assert len(caplog.records) == 1  # however long it takes


def test_a_door_that_is_gone_is_no_matter_of_time():
    with pytest.raises(OSError, match="no"):
        doors.accepting(accepts(errno.EBADF, "nobody"))
