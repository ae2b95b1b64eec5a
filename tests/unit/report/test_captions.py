"""The captions of workflow/report render, and labels in them are no markup."""

import html
from dataclasses import asdict
from types import SimpleNamespace

import pytest
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined

from lesionbench.evaluation.scoring import Scoring
from scored import LABELS


def captions():
    params = SimpleNamespace(
        studies="10 test studies (averaged over 2 seeds)", runs=[["unet", 0, 0]], labels=LABELS,
        resamples=10000, plane="coronal", paper=True, reference=[], caption="Dice of 10 test studies.",
        scoring=asdict(Scoring()),
    )  # fmt: skip
    return SimpleNamespace(params=params, wildcards=SimpleNamespace(rank="median"))


def test_captions_render(repository):
    paths = set((repository / "workflow" / "report").glob("*.rst")) - {
        repository / "workflow" / "report" / "workflow.rst"
    }
    assert len(paths) >= 10
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    for path in paths:
        text = environment.from_string(path.read_text()).render(snakemake=captions())
        body = publish_parts(text, writer="html", settings_overrides={"halt_level": 2})["body"]
        assert body.startswith("<p>"), path


@pytest.mark.parametrize("caption", ["figure", "summary"])
@pytest.mark.parametrize("label", ["*i* _u_ `c` |v| \\n x_ <b>&</b> {{ a }} {% b %}", " two\n\nlines\u2028more", "x::"])
def test_a_label_is_no_markup_in_a_caption(repository, caption, label):
    text = (repository / "workflow" / "report" / f"{caption}.rst").read_text()
    snakemake = captions()
    snakemake.params.caption, snakemake.params.labels = label, {"unet": label}
    rendered = Environment(trim_blocks=True, lstrip_blocks=True).from_string(text).render(snakemake=snakemake)
    body = publish_parts(rendered, writer="html", settings_overrides={"halt_level": 2})["body"]
    tag = {"figure": "p", "summary": "span"}[caption]
    assert html.escape(label).split() == body.partition(f"<{tag}>")[2].partition(f"</{tag}>")[0].split()
