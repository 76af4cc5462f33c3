"""The matrix as one web page that needs nothing else: no script, no font, no address of anybody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from policy.commands.matrix_views import MIXED, Row

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; color: #222; background: #fff }
h1 { font-size: 1.3em } p { color: #555 }
.scroll { overflow: auto; max-height: 85vh; border: 1px solid #ccc }
table { border-collapse: separate; border-spacing: 0 }
th, td { border-right: 1px solid #ddd; border-bottom: 1px solid #ddd; padding: 3px 6px; text-align: left;
  vertical-align: top; white-space: nowrap; background: #fff }
thead th { position: sticky; top: 0; z-index: 1 } tbody th, thead th:first-child { position: sticky; left: 0 }
thead th:first-child { z-index: 2 }
td { max-width: 22em; overflow: hidden; text-overflow: ellipsis; font-family: ui-monospace, monospace; font-size: 12px }
td:hover { white-space: normal; overflow: visible }
.allow { background: #e3f4e3 } .reject { background: #fbe3e3 } .mixed { background: #fdf3d8 } .deny { color: #bbb }
.none { background: #f3f3f3 }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(name: str, revision: str, names: Sequence[str], rows: Iterable[Row], service: str | None) -> str:
    """The page. ``names`` are those on both edges; a pair without a row shares no scope or family."""
    found = {(row.source, row.destination): row for row in rows}
    about = f"the verdict about {service}" if service is not None else "what goes through"
    heading = "".join(f'<th scope="col">{escape(each)}</th>' for each in names)
    body = "\n".join(
        f'<tr><th scope="row">{escape(source)}</th>'
        + "".join(_cell(found.get((source, destination))) for destination in names)
        + "</tr>"
        for source in names
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">
<title>{escape(name)}: matrix</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(name)}</h1>
<p>Revision {escape(revision)}. From the left to the top: {escape(about)}. A dash: nothing goes through. An empty cell:
the two never meet.</p>
<div class="scroll"><table>
<thead><tr><th></th>{heading}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>
</body>
</html>
"""


def _cell(row: Row | None) -> str:
    if row is None:
        return '<td class="none"></td>'
    if row.verdict is not None:
        return f'<td class="{escape(row.verdict)}">{escape(row.verdict)}</td>'
    if not row.words:
        return '<td class="deny">-</td>'
    kind = next(each for each in ("allow", MIXED, "reject") if each in row.words)
    told = "; ".join(
        words if name == "allow" else f"{'rejected' if name == 'reject' else name}: {words}"
        for name, words in row.words.items()
    )
    return f'<td class="{kind}" title="{escape(told)}">{escape(told)}</td>'
