"""Writes files that were not there before: a command that makes files for the operator never overwrites one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from policy.commands.output import NoAnswer


def write_new(folder: Path, files: Mapping[str, str]) -> tuple[Path, ...]:
    """Writes files by their names below a folder, which is made if need be. All of them or, if one exists, none."""
    paths = {folder / name: text for name, text in files.items()}
    # A dangling symlink is not there for `exists`, and would be written through.
    there = [path for path in paths if os.path.lexists(path)]
    if there:
        raise NoAnswer(f"{', '.join(map(str, there))}: already there; nothing was written, for nothing is overwritten")
    written: list[Path] = []
    try:
        for path, text in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            # x: somebody else may have been quicker.
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
            written.append(path)
    except (OSError, ValueError) as error:
        done = f"; written so far: {', '.join(map(str, written))}" if written else ""
        raise NoAnswer(f"cannot write: {error}{done}") from None
    return tuple(written)
