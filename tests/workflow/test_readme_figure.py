"""The figure that opens README.md, drawn by its script from a finished run."""

import html
import re
import subprocess
import sys

import pandas as pd
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def svg(finished, tmp_path_factory):
    """The text of the figure as svg."""
    path = tmp_path_factory.mktemp("figure") / "demo.svg"
    script = finished.folder / "docs" / "make_figure.py"
    subprocess.run([sys.executable, script, finished.folder / "results" / "tiny", path], check=True)
    return path.read_text(encoding="utf-8")


def test_each_model_stands_there_with_its_mean_dice(finished, svg):
    # Matplotlib draws text as glyphs and keeps each line as a comment.
    lines = re.findall(r"<!-- (.*?) -->", svg)
    comparison = pd.read_csv(finished.folder / "results" / "tiny" / "tables" / "comparison.csv")
    words = html.unescape(" ".join(lines))
    for label, dice in zip(comparison["label"], comparison["mean_dice"], strict=True):
        assert f"{label}:\u00a0{dice:.2f}" in words
    assert {"CT", "reference", "prediction"} <= set(lines)


def test_each_row_shows_the_ct_and_every_model(svg):
    rows = len(re.findall(r"<!-- study_\d+ -->", svg))
    assert rows >= 1
    assert svg.count("<image ") == rows * 3


def test_readme_opens_with_a_small_picture_that_is_there(repository):
    picture = re.search(r"!\[.*?\]\((.*?)\)", (repository / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    path = repository / picture[1]
    assert path.stat().st_size < 300_000
    with Image.open(path) as image:
        assert image.width > 1000
