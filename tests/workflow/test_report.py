"""The report as a reader meets it: one file, opened in a browser and clicked through."""

import base64
import json
import re
import shutil
import subprocess
import sys

import pytest

from checkout import TINY

LABELS = [TINY["models"][model]["label"] for model in TINY["compare"]]
CATEGORIES = ["At a glance", "Comparison", "Data", "Predictions", "Training"]


@pytest.fixture(scope="module")
def report(finished, tmp_path_factory):
    """The report, alone in a folder."""
    finished.snakemake("--report", "report.html")
    return shutil.move(finished.folder / "report.html", tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def browser(browse):
    return browse(["--disable-gpu"])


@pytest.fixture
def page(report, browser):
    """The report's opening page. At the end, nothing was asked of the network and no script has failed."""
    page = browser.new_page(viewport={"width": 1400, "height": 800})
    addresses, failures = [], []
    page.on("request", lambda request: addresses.append(request.url))
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.goto(report.as_uri())
    page.locator("#opening").wait_for()
    yield page
    page.close()
    assert [address for address in addresses if not address.startswith(("file:", "data:"))] == []
    assert failures == []


def conclusion(finished):
    """What the comparison concludes, from the table's foot."""
    text = (finished.folder / "results" / "tiny" / "tables" / "comparison.md").read_text()
    return re.search(r"^1 study .* no evidence for any model\.$", text, flags=re.MULTILINE)[0]


def rows(page):
    return page.locator("nav tbody tr")


def open_category(page, category, section=None):
    page.locator("nav").get_by_text(category, exact=True).last.click()
    if section:
        page.locator("nav li").get_by_text(section, exact=True).click()
    rows(page).first.wait_for()


def as_file(address):
    """The bytes of a data address."""
    return base64.b64decode(address.partition("base64,")[2])


def test_all_tables_and_figures_are_in_it_byte_by_byte(finished, report):
    held = json.loads(re.search(r"var results = (\{.*\});$", report.read_text(), flags=re.MULTILINE)[1])
    results = finished.folder / "results" / "tiny"
    made = [results / "summary.html", *results.glob("tables/*.html"), *results.glob("figures/**/*.html")]
    made += results.glob("viewer/*.html")
    assert len(made) > 15
    assert {finished.folder / path: as_file(entry["data_uri"]) for path, entry in held.items()} == {
        path: path.read_bytes() for path in made
    }


def test_the_report_is_written_from_another_folder_with_relative_paths(finished):
    name = finished.folder.name
    command = ["--snakefile", f"{name}/workflow/Snakefile", "--directory", name, "--configfile", f"{name}/overlay.yaml"]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *command, "--report", "elsewhere.html"],
        cwd=finished.folder.parent, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    assert f"profile {name}/workflow/profiles/default" in done.stdout
    report = finished.folder / "elsewhere.html"
    assert ".prose .conclusion" in report.read_text()
    report.unlink()


def test_the_first_page_has_the_question_the_data_and_the_answer(finished, page):
    text = page.locator("#opening").inner_text()
    assert f"How well do {' and '.join(LABELS)} find COVID-19 lesions on chest CT" in text
    assert "The studies are synthetic." in text and "6 synthetic studies, 5 of them with a lesion mask" in text
    assert conclusion(finished) in text
    assert page.locator("#opening thead th:visible").all_inner_texts() == [
        "Model",
        "Mean Dice",
        "Mean, 95\u00a0% interval",
    ]
    assert page.locator(".system-message").count() == 0


def test_the_top_of_the_first_page_can_be_read_in_a_low_window(page):
    page.set_viewport_size({"width": 1000, "height": 400})
    assert page.locator("#opening h1").bounding_box()["y"] >= 0


def test_the_top_of_a_long_figure_can_be_seen_in_a_low_window(page):
    page.set_viewport_size({"width": 1000, "height": 400})
    open_category(page, "Predictions")
    rows(page).first.locator("a").first.click()
    figure = page.frame_locator("iframe").locator("h1").bounding_box()
    assert figure["y"] >= 0


def test_the_menu_leads_from_the_answer_to_what_is_behind_it(page):
    shown = page.locator("nav li").all_inner_texts()
    assert [entry for entry in shown if entry in CATEGORIES] == CATEGORIES == sorted(CATEGORIES)
    named = page.locator("ul.simple strong").all_inner_texts()
    assert named == CATEGORIES


@pytest.mark.parametrize("entry", ["Further metrics", "Lesions"])
def test_a_table_fits_beside_the_menu_of_a_narrow_window(page, entry):
    page.set_viewport_size({"width": 1080, "height": 800})
    open_category(page, "Comparison", "Further scores")
    rows(page).filter(has_text=f"Table: {entry}").locator("a").first.click()
    shown = page.frame_locator("iframe").get_by_role("region", name=entry)
    assert shown.evaluate("shown => shown.scrollWidth - shown.clientWidth") == 0


def test_a_phone_shows_the_menu_above_what_it_opens(page):
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.locator("#opening h1").bounding_box()["width"] > 300
    open_category(page, "Comparison", "Further scores")
    for number in range(rows(page).count()):
        boxes = [link.bounding_box() for link in rows(page).nth(number).locator("a").all()]
        assert all(box["x"] + box["width"] <= 390 for box in boxes)
    rows(page).first.locator("a").first.click()
    assert page.frame_locator("iframe").locator("figure img").bounding_box()["width"] > 300


def test_a_click_opens_the_summary(finished, page):
    page.get_by_text("The summary", exact=True).click()
    summary = page.frame_locator("iframe")
    assert summary.locator("#opening thead th:visible").count() > 3
    assert conclusion(finished) in summary.locator(".conclusion").inner_text()
    assert summary.get_by_role("heading", name="How to repeat it").is_visible()
    summary.get_by_text("Configuration, with all defaults").click()
    assert "max_epochs: 1" in summary.locator("details pre").inner_text()


@pytest.mark.parametrize("model", TINY["compare"])
def test_two_clicks_lead_to_a_models_predictions(finished, page, model):
    open_category(page, "Predictions")
    rows(page).filter(has_text=TINY["models"][model]["label"]).locator("a").first.click()
    label = TINY["models"][model]["label"]
    shown = page.frame_locator("iframe")
    assert shown.get_by_role("img", name=f"Predictions of {label}", exact=True).is_visible()
    assert f"best study of {label} by" in shown.locator("figcaption").inner_text()


@pytest.mark.parametrize(
    ("category", "section"),
    [
        *((category, None) for category in CATEGORIES if category != "Comparison"),
        *(("Comparison", section) for section in ("Cost", "Dice in detail", "Further scores")),
    ],
)
def test_everything_opens_and_says_how_to_read_it(page, category, section):
    open_category(page, category, section)
    for number in range(rows(page).count()):
        show, explain = rows(page).nth(number).locator("a").all()
        show.click()
        content = page.locator("#app > div > div").last
        shown = content.frame_locator("iframe").locator("table, figure img").first
        shown.wait_for()
        if shown.evaluate("shown => shown.tagName") == "IMG":
            assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
        explain.click()
        caption = page.locator("nav .prose")
        assert re.fullmatch(r"[A-Z].*\.", caption.inner_text().strip(), flags=re.DOTALL)
        assert not re.search(r"\b1 (test )?(studies|slices|models|trainings)\b", caption.inner_text())
        assert caption.locator(".system-message, .problematic").count() == 0
        page.locator("nav").get_by_text(section or category, exact=True).click()
