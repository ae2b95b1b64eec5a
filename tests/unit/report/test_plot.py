"""Every figure of the catalogue is drawn from files as it is from what was written to them."""

import pytest

from drawn import CLASSES, assert_legible, calibration_of, choices_of, costs_of, histories_of, shares_of, texts
from lesionbench.evaluation.calibration import calibration_curves
from lesionbench.evaluation.comparison import write_comparison
from lesionbench.evaluation.transfer import compare_sets
from lesionbench.report.catalogue import FIGURES
from lesionbench.report.figures.learning_curves import learning_curves
from lesionbench.report.figures.score_charts import dice_by_cost, dice_by_model
from lesionbench.report.plot import draw
from lesionbench.report.style import save_figure
from scored import INVENTORY, compared
from tiny import write_stack

# Labels that a table would not keep as text by itself.
ODD = {"unet": "1e3", "unet_vgg19": "NA"}


@pytest.fixture
def files(tmp_path):
    """The files of each kind of input."""
    CLASSES.to_csv(tmp_path / "classes.csv", index=False)
    write_comparison(compared(ODD), tmp_path / "comparison.json")
    costs_of(ODD).to_csv(tmp_path / "cost.csv", index=False)
    histories = []
    for model, history in histories_of(ODD).groupby("model"):
        histories.append(tmp_path / f"{model}.csv")
        history.drop(columns=["model", "fold", "seed", "best_epoch_by"]).to_csv(histories[-1], index=False)
    comparison = compared(ODD)
    transfer = compare_sets(comparison, {"NA": comparison}, [{}, {}], "1e3")
    transfer.to_csv(tmp_path / "transfer.csv", index=False)
    INVENTORY.to_csv(tmp_path / "studies.csv", index=False)
    calibration_curves(*calibration_of(ODD), {}).to_csv(tmp_path / "curves.csv", index=False)
    shares_of(ODD).to_csv(tmp_path / "shares.csv", index=False)
    return {
        "calibration": tmp_path / "curves.csv",
        "inventory": tmp_path / "studies.csv",
        "classes": tmp_path / "classes.csv",
        "comparison": tmp_path / "comparison.json",
        "cost": tmp_path / "cost.csv",
        "transfer": tmp_path / "transfer.csv",
        "histories": histories,
        "shares": tmp_path / "shares.csv",
        "points": choices_of(tmp_path, ODD)[0],
        "stacks": [write_stack(tmp_path, 1), write_stack(tmp_path, 2)],
    }


PARAMS = {
    "runs": [[model, 0, 0] for model in ODD],
    "best_epoch_by": dict.fromkeys(ODD, "loss"),
    "labels": ODD,
    "shown": ["study_0001", "study_0002"],
}


def drawn(name, files):
    """A figure drawn from the files that it reads, and no others."""
    figure = FIGURES[name]
    return draw(figure.function, figure.reads, {kind: files[kind] for kind in figure.files}, PARAMS)


def svg(figure, path):
    save_figure(figure, [path])
    return path.read_text()


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_is_drawn_from_its_files(files, name):
    figure = drawn(name, files)
    assert figure.axes and len(texts(figure)) > 2
    assert_legible(figure)


def test_what_is_drawn_from_files_is_what_was_written_to_them(files, tmp_path):
    comparison, histories = compared(ODD), histories_of(ODD)
    for name, figure in (
        ("dice_by_model", dice_by_model(comparison)),
        ("dice_by_cost", dice_by_cost(comparison, costs_of(ODD))),
        ("learning_curves", learning_curves(histories, ODD)),
    ):
        assert svg(drawn(name, files), tmp_path / "a.svg") == svg(figure, tmp_path / "b.svg"), name


def test_slices_are_those_of_the_studies_that_are_shown(files):
    figure, (_, second) = FIGURES["example_slice"], files["stacks"]
    shown = draw(figure.function, figure.reads, {"stacks": [second]}, PARAMS | {"shown": ["study_0002"]})
    assert any(item.get_text().startswith("study_0002, axial slice") for item, _ in texts(shown))
