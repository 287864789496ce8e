import re

import pytest

from jobs.core.settings import PROJECT
from jobs.core.steps import NIGHTLY, STEPS

FOLDERS = ("", "jobs", "jobs/migrations", "plugins", "tests")  # with a README
PAGES = sorted(
    [
        *(PROJECT / folder / "README.md" for folder in FOLDERS),
        PROJECT / "CHANGELOG.md",
        PROJECT / "CONTRIBUTING.md",
        *(PROJECT / "docs").rglob("*.md"),
    ]
)
name = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(PROJECT)))


def without_code(text):
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors(page):
    """The anchors of a page's headings, as GitHub writes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@name
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name} links to {target}, which does not exist"
        assert not anchor or anchor in anchors(found), (
            f"{page.name} links to {target}, which has no such heading"
        )


@pytest.mark.parametrize("page", ["jobs/README.md", "docs/runbook.md", "docs/architecture.md"])
@pytest.mark.parametrize("step", STEPS)
def test_every_step_is_explained(page, step):
    assert f"`{step}`" in (PROJECT / page).read_text(), f"{page} does not name the step {step}"


def test_the_steps_of_the_way_are_in_the_order_of_the_night():
    named = re.findall(
        r"^\| `(\w+)` \|", (PROJECT / "jobs" / "README.md").read_text(), re.MULTILINE
    )
    others = [step for step in STEPS if step not in NIGHTLY]
    assert [each for each in named if each in STEPS] == [*NIGHTLY, *others]


def test_every_decision_has_its_three_parts():
    for page in (PROJECT / "docs" / "decisions").glob("*.md"):
        text = page.read_text()
        assert text.startswith(f"# {page.name[:4]} "), f"{page.name} does not begin with its number"
        assert all(f"**{part}.**" in text for part in ("Context", "Decision", "Consequences")), (
            page.name
        )
