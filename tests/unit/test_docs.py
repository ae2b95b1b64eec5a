"""The documentation holds what the code does: keys, metrics, messages, links and pages."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from docs.make_config import PAGE, leaves, page

from checkout import merged
from lesionbench.data.volume import Volume
from lesionbench.evaluation.metrics import MaskPair, evaluate_study
from lesionbench.evaluation.scores import READINGS
from lesionbench.evaluation.scoring import Scoring
from lesionbench.evaluation.statistics import PAIR_COLUMNS
from lesionbench.experiment.config import read_schema, resolve_config

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
RULES = {
    name
    for path in REPOSITORY.glob("workflow/rules/*.smk")
    for name in re.findall(r"^ *(?:use rule \w+ as|rule) (\w+)", path.read_text(), re.MULTILINE)
}


def test_the_page_of_keys_is_the_one_that_the_schema_makes():
    assert page(read_schema()) == PAGE.read_text(), "run: python -m docs.make_config"


def test_every_key_says_which_rules_its_change_runs_again():
    keys = dict(leaves(read_schema()))
    assert len(keys) > 40 and {"training.loss", "dataset.phantom.size", "models.NAME.encoder"} <= keys.keys()
    for path, rule in keys.items():
        unknown = set(rule["x-reruns"]) - RULES - {"*", "plot*"}
        assert not unknown, f"{path}: {unknown}"


def test_every_metric_is_described():
    described = set(re.findall(r"`(\w+)`", (DOCS / "metrics.md").read_text()))
    reference = np.zeros((6, 6, 4), np.uint8)
    reference[1:4, 1:4, 1:3] = 1
    masks = (Volume(mask, np.eye(4)) for mask in (reference, np.roll(reference, 1, axis=0)))
    pair = MaskPair(*masks, "axial", Scoring())
    scores = evaluate_study(pair)
    assert len(scores) > 10
    assert {*scores, *pair.slices[0], *READINGS} - described == set()


def test_every_statistic_is_described():
    described = set(re.findall(r"`(\w+)`", (DOCS / "statistics.md").read_text()))
    assert set(PAIR_COLUMNS) - {"first", "second"} - described == set()


def test_every_module_is_in_the_list_of_concepts():
    described = set(re.findall(r"`(\w+)`", (DOCS / "workflow.md").read_text()))
    library = REPOSITORY / "workflow/scripts/lesionbench"
    modules = {path.stem for path in library.rglob("[a-z]*.py") if path.parent.name != "figures"}
    assert len(modules) > 50 and modules <= described, modules - described


def test_every_kind_of_finding_is_described():
    described = set(re.findall(r"^\| `([a-z-]+)` \|", (DOCS / "check.md").read_text(), re.MULTILINE))
    sources = (REPOSITORY / "workflow/scripts/lesionbench").rglob("*.py")
    found = {
        kind for path in sources for kind in re.findall(r'(?:ERROR|WARNING|severity),\s+"([a-z-]+)"', path.read_text())
    }
    assert len(found) > 15 and found == described


def messages():
    """All texts in the library's source, with … for what is filled in."""
    for path in (REPOSITORY / "workflow" / "scripts" / "lesionbench").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value
            elif isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)


def quoted_messages():
    """The messages that are headings of the questions and errors."""
    sections = re.split(r"^## ", (DOCS / "faq.md").read_text(), flags=re.MULTILINE)
    said = "".join(section for section in sections if section.startswith("Messages"))
    return [text.strip("`") for text in re.findall(r"^### (`.*`)$", said, re.MULTILINE)]


def test_many_messages_are_explained():
    assert len(quoted_messages()) > 20


@pytest.mark.parametrize("message", quoted_messages())
def test_a_message_that_is_explained_is_one_that_the_library_gives(message):
    parts = [part.strip() for part in message.split("…") if part.strip(" ?.")]
    known = list(messages())
    missing = [part for part in parts if not any(part in text for text in known)]
    assert parts and not missing


def fences(language):
    """Page, line and text of each fence in a language; `<!-- not run: why -->` before one exempts it."""
    pattern = rf"^( *)(<!-- not run: .+ -->\n)?^\1```{language}\n(.*?)^\1```$"
    for path in PAGES:
        text = path.read_text()
        for match in re.finditer(pattern, text, re.MULTILINE | re.DOTALL):
            if not match[2]:
                yield pytest.param(match[3], id=f"{path.name}:{text[: match.start()].count(chr(10)) + 1}")


@pytest.mark.parametrize("overlay", list(fences("yaml")))
def test_the_lines_of_configuration_in_the_docs_are_valid(overlay):
    resolve_config(merged(yaml.safe_load((REPOSITORY / "config.yaml").read_text()), yaml.safe_load(overlay)))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_between_pages_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), target


def test_every_page_is_in_the_menu_of_the_site():
    menu = (REPOSITORY / "mkdocs.yml").read_text()
    assert [path.name for path in DOCS.glob("*.md") if f": {path.name}\n" not in menu] == []


def test_the_site_is_built_without_warnings_and_fetches_nothing(tmp_path):
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    sources = r'<(?:script|img|link)[^>]* (?:src|href)="(https?://[^"]+)"'
    pages = list(tmp_path.glob("*.html"))
    assert len(pages) > len(list(DOCS.glob("*.md")))
    assert {page.name: found for page in pages if (found := re.findall(sources, page.read_text()))} == {}
