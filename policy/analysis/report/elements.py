"""HTML as a tree of elements: whatever text is put in is text, escaped when the page is written, and never markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree import ElementTree as ET

Content = str | ET.Element


def element(tag: str, *content: Content, kind: str | None = None) -> ET.Element:
    """An element with text and elements in it; ``kind`` is its class."""
    found = ET.Element(tag, {} if kind is None else {"class": kind})
    last: ET.Element | None = None
    for each in content:
        if isinstance(each, ET.Element):
            found.append(each)
            last = each
        elif last is None:
            found.text = (found.text or "") + _plain(each)
        else:
            last.tail = (last.tail or "") + _plain(each)
    return found


def table(heads: Sequence[str], rows: Iterable[Sequence[Content]]) -> ET.Element:
    """A table with a line of heads."""
    head = element("thead", element("tr", *(element("th", each) for each in heads)))
    body = element("tbody", *(element("tr", *(element("td", cell) for cell in row)) for row in rows))
    return element("table", head, body)


def page(title: str, style: str, *content: Content) -> str:
    """A whole page that needs nothing else, and may load nothing else."""
    policy = {"http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'"}
    head = element("head", ET.Element("meta", charset="utf-8"), ET.Element("meta", policy), element("title", title))
    ET.SubElement(head, "style").text = style
    root = element("html", head, element("body", *content))
    root.set("lang", "en")
    return "<!DOCTYPE html>\n" + ET.tostring(root, encoding="unicode", method="html") + "\n"


def _plain(text: str) -> str:
    """Without control characters, which HTML does not allow and a label may hold."""
    return "".join(sign if sign.isprintable() else " " for sign in text)
