"""How long do answers about a large policy take, and how do they grow?

    .venv/bin/python -m bench.analysis [--sizes 100,1000,10000] [--json FILE] [--matrix]

Everything is measured in this process as the commands do it, from the files' bytes on; each measure is the best of two,
in seconds of processor time (nothing here waits for anything).
`explain` is a load and one question; `check` a load with assertions; `diff` two loads and the comparison of a policy
with one in which one rule was changed.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench.datacenter import Size, files
from policy.analysis.group_matrix import GroupMatrix
from policy.analysis.lines import difference
from policy.evaluate import evaluate
from policy.load import load_texts
from policy.model import Document
from policy.question import parse_question

# Seconds at the largest size, on the machine on which the project is developed.
AIMS = {"check": 3.0, "explain": 1.0, "diff": 5.0}


def _texts(size: Size, *, changed: bool = False, assertions: bool = False) -> dict[str, bytes]:
    return {name: text.encode() for name, text in files(size, changed=changed, assertions=assertions).items()}


def _question(document: Document) -> None:
    evaluate(document, parse_question(document, "vm-7", f"vm-{len(document.inventory.vms) - 1}", "tcp/443"))


def _explain(texts: dict[str, bytes]) -> None:
    _question(load_texts(texts))


def _diff(old: dict[str, bytes], new: dict[str, bytes]) -> None:
    found = difference(load_texts(old), load_texts(new))
    assert found.widened and not found.narrowed


def _matrix(document: Document) -> None:
    for _ in GroupMatrix(document).cells():
        pass


def measured(size: Size, *, matrix: bool) -> dict[str, float]:
    """Seconds for each task at one size."""
    plain, asserted, changed = _texts(size), _texts(size, assertions=True), _texts(size, changed=True)
    document = load_texts(plain)
    other = load_texts(changed)
    tasks: dict[str, Callable[[], object]] = {
        "load": partial(load_texts, plain),
        "check": partial(load_texts, asserted),
        "explain": partial(_explain, plain),
        "diff": partial(_diff, plain, changed),
        "question alone": partial(_question, document),
        "comparison alone": partial(difference, document, other),
    }
    if matrix:
        tasks["matrix by groups"] = partial(_matrix, document)
    return {name: _best(task, 1 if name.startswith("matrix") else 2) for name, task in tasks.items()}


def _best(task: Callable[[], object], times: int) -> float:
    found = []
    for _ in range(times):
        gc.collect()
        begin = time.process_time()
        task()
        found.append(time.process_time() - begin)
    return min(found)


def main() -> None:
    """Measure, print a table, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="100,1000,10000", help="numbers of VMs (default: %(default)s)")
    parser.add_argument("--groups", type=int, default=500)
    parser.add_argument("--rules", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--matrix", action="store_true", help="the whole matrix by groups, too")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    sizes = [Size(int(vms), options.groups, options.rules, options.seed) for vms in options.sizes.split(",")]
    found = {size.vms: measured(size, matrix=options.matrix) for size in sizes}
    print(f"{options.groups} groups, {options.rules} rules, Python {platform.python_version()}; seconds")
    print(f"{'':18}" + "".join(f"{vms:>9,}" for vms in found) + "      aim")
    for name in next(iter(found.values())):
        row = "".join(f"{seconds[name]:9.2f}" for seconds in found.values())
        print(f"{name:18}{row}" + (f"{AIMS[name]:9.1f}" if name in AIMS else ""))
    if options.json:
        result = {
            "groups": options.groups,
            "rules": options.rules,
            "seed": options.seed,
            "python": sys.version.split()[0],
            "seconds": {str(vms): seconds for vms, seconds in found.items()},
        }
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
