"""No page leads nowhere: every relative link has its file, every anchor its heading."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PAGES = [
    *PROJECT.glob("*.md"),
    *(PROJECT / "docs").rglob("*.md"),
    *(PROJECT / "examples").rglob("*.md"),
    *(PROJECT / "benchmarks").rglob("*.md"),
]
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
PATHS = re.compile(
    r"`(?P<path>(?:src/ringfence|examples|tests|benchmarks|docs|tools)/[\w./-]+)`"
)
INSIDE = re.compile(r"\*\*Where\.\*\*(?P<files>.*?)(?:\*\*Proof|\Z)", re.DOTALL)


def anchors(page):
    """Return the anchors that a page's headings get."""
    texts = HEADING.findall(page.read_text("utf-8"))
    kept = (re.sub(r"[^\w\s-]", "", text.lower()) for text in texts)
    return {text.strip().replace(" ", "-") for text in kept}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_link_has_its_end(page):
    text = CODE.sub("", page.read_text("utf-8"))
    for found in LINK.finditer(text):
        target, _, anchor = found["target"].partition("#")
        if "://" in target:
            continue
        file = (page.parent / target) if target else page
        assert file.exists(), f"{page.name}: {found['target']}"
        if anchor:
            assert anchor in anchors(file), f"{page.name}: {found['target']}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))
def test_every_file_that_is_named_is_there(page):
    text = page.read_text("utf-8")
    for found in PATHS.finditer(text):
        assert (PROJECT / found["path"]).exists(), f"{page.name}: {found['path']}"
    for listed in INSIDE.finditer(text):
        for path in re.findall(r"`([\w./]+\.py)`", listed["files"]):
            homes = (PROJECT / "src" / "ringfence", PROJECT)
            assert any((home / path).exists() for home in homes), f"{page.name}: {path}"


def test_every_page_is_in_the_index():
    index = (PROJECT / "docs" / "README.md").read_text("utf-8")
    for page in (PROJECT / "docs").rglob("*.md"):
        name = page.relative_to(PROJECT / "docs").as_posix()
        assert name == "README.md" or f"({name})" in index, name


def test_every_attack_is_in_the_readme():
    readme = (PROJECT / "README.md").read_text("utf-8")
    for page in (PROJECT / "docs" / "attacks").glob("*.md"):
        assert f"(docs/attacks/{page.name})" in readme, page.name
