"""What the docs say of numbers and names is what the code has; the docs' examples are run elsewhere, page by page."""

import re
from pathlib import Path

from policy.flows.slots import on_wire
from policy.flows.tables import BY_NUMBER, TABLES
from topology.rows import BRIDGE_KEYS, COLUMNS, INTERFACE_KEYS, OPTION_KEYS, SWITCH_KEYS

ROOT = Path(__file__).parent.parent
FILES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]
PAGES = {page.name: page.read_text() for page in FILES}
OPERATION = PAGES["operation.md"]


def section(page: str, title: str) -> str:
    return page.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """The cells of a section's tables, without heads."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.split(" | ")] for line in lines]


def test_the_range_of_our_tables():
    told = [
        tuple(map(int, found.groups()))
        for page in PAGES.values()
        for found in re.finditer(r"\bslot 0 is tables (\d+) to (\d+), slot 1 tables (\d+) to (\d+)", page)
    ]
    ends = BY_NUMBER[1], BY_NUMBER[max(BY_NUMBER)]
    assert told == [tuple(on_wire(table, slot) for slot in (0, 1) for table in ends)]
    assert sorted(BY_NUMBER) == list(range(len(TABLES)))


def test_every_key_that_is_read_of_a_port_is_in_the_table_of_keys():
    text = section(OPERATION, "What OVSDB says of a port")
    told = {row[0].strip("| `") for row in rows(text)} - {"key"}
    assert INTERFACE_KEYS - told == set()
    assert told - INTERFACE_KEYS == set()
    besides = {key for key in (*BRIDGE_KEYS, *SWITCH_KEYS, *OPTION_KEYS) if key not in text}
    columns = {column for table in ("Bridge", "Port", "Interface") for column in COLUMNS[table]}
    assert besides == set()
    links = {"ports", "interfaces", "external_ids"}
    assert {column for column in columns - links if f"`{column}" not in text} == set()


def test_what_status_says_when_something_is_wrong_is_what_it_can_say():
    speaking = (*(ROOT / "ryu_apps").rglob("*.py"), *(ROOT / "topology").glob("*.py"))
    sources = "".join(path.read_text() for path in speaking)
    found = rows(section(OPERATION, "When something is wrong"))[1:]
    assert len(found) >= 7
    for row in found:
        for words in re.findall(r"`([^`]+)`", row[0]):
            assert all(part.strip().removeprefix("bridge") in sources for part in words.split("…")), words


def test_the_number_of_attacks():
    from tests.attack.families import FAMILIES

    attacks = sum(len(family.attacks) for family in FAMILIES)
    (told,) = re.findall(r"`make attack` tries (\d+) attacks", PAGES["CHANGELOG.md"])
    assert int(told) == attacks


def test_each_figure_of_what_the_run_shows_is_in_its_tables():
    """Whoever writes another run into the page writes these words anew."""
    page = PAGES["performance.md"]
    measured = section(page, "Results") + section(page, "The engine alone")
    shows = section(page, "What the run shows")
    figures = re.findall(r"\b\d[\d,.]*(?:x|%| ms| s| MB| µs)(?![\w])", shows)
    assert len(figures) > 20
    assert [figure for figure in figures if not re.search(rf"(?<![\d.,]){re.escape(figure)}", measured)] == []


def test_the_goals_that_were_missed_are_named_as_missed():
    page = PAGES["performance.md"]
    shows = section(page, "What the run shows")
    missed = [row[0].lstrip("|… ") for row in rows(section(page, "Results")) if row[-1].strip(" |") == "missed"]
    assert missed
    said = " ".join(re.findall(r"\*\*Missed:.*?(?=\n\n)", shows, re.DOTALL))
    words = {
        "one rule changed": "rule's change",
        "label": "label",
        "address": "address",
        "port up": "port",
        "per connection": "new connection",
        "controller under": "memory",
        "10 times fewer flows": "flows",
        "cold start": "cold start",
        "nor while a port": "port",
        "no unrelated packet": "unrelated",
        "nothing lost over": "restart",
        "switch processor per packet": "per packet",
        "idle": "idle",
    }
    for goal in missed:
        (word,) = [word for beginning, word in words.items() if goal.startswith(beginning)]
        assert word in said, goal


def test_the_changelog_and_the_page_of_performance_agree():
    (low, high) = re.findall(r"flow-mods in ([\d.]+) to (\d+) ms", PAGES["CHANGELOG.md"])[0]
    engine = section(PAGES["performance.md"], "The engine alone")
    # What changes; median, 95th percentile, flow-mods, bundles.
    line = r"^ +(?:rule|label|address|client|port)\b.*?  +([\d.]+) +[\d.]+ +\d+ +\d+$"
    lines = re.findall(line, engine, re.MULTILINE)
    assert len(lines) == 8
    medians = [float(each) for each in lines]
    assert (round(min(medians), 1), round(max(medians))) == (float(low), int(high))


def slug(heading: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_links_into_pages_meet_a_heading():
    headings = {path.resolve(): re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE) for path in FILES}
    anchors = {path: set(map(slug, found)) for path, found in headings.items()}
    seen = 0
    for path in FILES:
        for page, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", path.read_text()):
            seen += 1
            target = (path.parent / page if page else path).resolve()
            assert anchor in anchors[target], f"{path.name}: {page}#{anchor}"
    assert seen > 10


def test_files_that_are_named_exist():
    folders = "tests|policy|topology|ryu_apps|bench|docs|mininet_scenarios|examples"
    for name, page in PAGES.items():
        for path in re.findall(rf"`((?:{folders})/[\w./-]+)`", page):
            assert (ROOT / path).exists(), f"{name}: {path}"
        for path in re.findall(r"`(test_\w+\.py)`", page):
            assert list(ROOT.glob(f"tests/**/{path}")), f"{name}: {path}"
