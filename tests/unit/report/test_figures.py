"""Figures show the right thing at the right aspect, nothing clipped or overlapping, and in the same bytes each time."""

import html
import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from docutils.core import publish_parts
from jinja2 import Environment, StrictUndefined
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.slices import save_stack, stack_slices
from lesionbench.data.volume import Volume, to_slices, write_mask
from lesionbench.errors import UserError
from lesionbench.evaluation.scores import READINGS
from lesionbench.evaluation.statistics import limits_of_agreement, rank_distribution
from lesionbench.report.charts import class_pie, learning_curves
from lesionbench.report.comparison_tables import make_tables
from lesionbench.report.panels import example_slice, model_grid, prediction_strip, read_views
from lesionbench.report.score_charts import (
    dice_by_cost,
    dice_by_model,
    dice_readings,
    pairwise_differences,
    rank_stability,
    volume_agreement,
)
from lesionbench.report.shown_slices import KINDS, Pick, lesion_run, listed_slices, middle_study, varied_slices
from lesionbench.report.style import ORANGE, SKY, new_figure, save_figure

LABELS = {"unet": "U-Net", "unet_mobilenet_v2": "U-Net with MobileNetV2 encoder"}
MANY = {f"model_{number}": f"U-Net with encoder number {number}" for number in range(9)}
CLASSES = pd.DataFrame({"category": [f"CT-{k}" for k in range(5)], "studies": [254, 684, 125, 45, 2]})


def texts(figure):
    """The figure's visible texts with their boxes in pixels (an annotation's without its arrow)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    beyond = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        beyond |= {tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    found = [item for item in figure.findobj(Text) if item.get_visible() and item.get_text().strip()]
    return [(item, Text.get_window_extent(item, canvas.get_renderer())) for item in found if item not in beyond]


def assert_legible(figure):
    """No text is smaller than 7 pt or leaves the figure."""
    for item, box in texts(figure):
        assert item.get_fontsize() >= 7, item
        assert box.x0 >= -1 and box.y0 >= -1, item
        assert box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1, item


def tables_of(labels, studies):
    rng = np.random.default_rng(0)
    rows = [
        {"model": model, "fold": 0, "seed": 0, "study": f"study_{number:04d}", "dice": dice}
        for model in labels
        for number, dice in enumerate(rng.uniform(0.3, 0.9, studies))
    ]
    by_study = pd.DataFrame(rows)
    by_slice = by_study.assign(slice=0, reference_voxels=9, predicted_voxels=9)
    reference = [["unet", 0.6, 0.8]]
    return {name: table.data for name, table in make_tables(by_study, by_slice, labels, reference, 100).items()}


def ranks_of(labels, studies):
    return rank_distribution(tables_of(labels, studies)["per_study"].set_index("study"), 100)


def costs_of(labels):
    numbers = range(1, len(labels) + 1)
    data = {"model": list(labels), "label": list(labels.values())}
    return pd.DataFrame({**data, "parameters": [7e6 * n for n in numbers], "gmacs": [200.0 / n for n in numbers]})


def volumes_of(labels, studies):
    """Reference volumes a study, and predicted ones with a column a model, in ml."""
    rng = np.random.default_rng(0)
    reference = pd.Series(rng.lognormal(4, 1, studies))
    return reference, pd.DataFrame({model: reference * rng.lognormal(0, 0.3, studies) for model in labels})


def histories_of(labels, seeds=1):
    rows = [
        {"model": model, "fold": 0, "seed": seed, "epoch": epoch, "train_loss": 1 / epoch,
         "validation_loss": abs(epoch - 5) / 10, "validation_dice": 1 - 1 / epoch}
        for model in labels for seed in range(seeds) for epoch in range(1, 13)
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_the_same_figure_has_the_same_bytes(tmp_path, suffix):
    paths = [tmp_path / f"{number}.{suffix}" for number in range(2)]
    for path in paths:
        save_figure(class_pie(CLASSES), [path])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_size > 2000


def test_a_figure_is_saved_in_every_format_at_200_dpi(tmp_path):
    save_figure(new_figure(2, 1), [tmp_path / "f.svg", tmp_path / "f.png"])
    assert (tmp_path / "f.svg").read_text().lstrip().startswith("<?xml")
    assert (tmp_path / "f.png").read_bytes()[16:24] == (400).to_bytes(4) + (200).to_bytes(4)


@pytest.mark.parametrize("studies", [[254, 684, 125, 45, 2], [0, 13, 0, 0, 0], [2, 10, 2, 1, 1], [1, 1, 1, 1, 900]])
def test_labels_of_the_pie_do_not_overlap(studies):
    figure = class_pie(CLASSES.assign(studies=studies))
    assert_legible(figure)
    labels = [box for item, box in texts(figure) if item.get_text().startswith("CT-")]
    assert len(labels) == np.count_nonzero(studies)
    assert not any(one.overlaps(other) for one, other in itertools.combinations(labels, 2))


def test_the_pie_shows_studies_of_unknown_category():
    figure = class_pie(pd.concat([CLASSES, pd.DataFrame({"category": ["unknown"], "studies": [50]})]))
    assert "unknown\n50 (4.3 %)" in [item.get_text() for item, _ in texts(figure)]


def test_the_pie_gives_counts_and_shares():
    written = [item.get_text() for item, _ in texts(class_pie(CLASSES))]
    assert "CT-4\n2 (0.2 %)" in written
    assert "CT-1\n684 (61.6 %)" in written
    assert "n = 1,110 studies" in written


def charts_of(labels, studies):
    tables = tables_of(labels, studies)
    return [
        learning_curves(histories_of(labels, seeds=2), labels),
        dice_by_model(tables["comparison"], tables["per_study"].set_index("study")),
        pairwise_differences(tables["pairwise"]),
        dice_readings(tables["readings"]),
        rank_stability(ranks_of(labels, studies), labels),
        volume_agreement(*volumes_of(labels, studies), labels),
        dice_by_cost(tables["comparison"], costs_of(labels)),
    ]


@pytest.mark.parametrize("labels", [{"unet": "U-Net"}, LABELS, MANY], ids=len)
def test_charts_are_legible_for_any_number_of_models(labels):
    for figure in charts_of(labels, studies=12):
        assert_legible(figure)


@pytest.mark.parametrize("models", [1, 2])
def test_any_text_is_a_label(models):
    strange = "_U-Net at $5 {cost} for a_b^c & 10 % of <b>, $x$ and \\frac"
    labels = {"long": strange + 20 * " and more", "unet": strange}
    for figure in charts_of(dict(list(labels.items())[:models]), studies=20):
        assert_legible(figure)
        written = [item for item, _ in texts(figure)]
        words = " ".join(item.get_text().replace("\n", " ") for item in written)
        assert "$5 {cost}" in words or "One model:" in words
        boxes = [box for item, box in texts(figure) if "U-Net" in item.get_text()]
        assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
        assert not any(item.get_parse_math() for item in written)


def test_charts_of_scores_have_the_same_bytes_each_time(tmp_path):
    for number in range(2):
        for position, figure in enumerate(charts_of(LABELS, studies=20)):
            save_figure(figure, [tmp_path / f"{number}_{position}.svg"])
    for path in tmp_path.glob("0_*.svg"):
        assert path.read_bytes() == (tmp_path / path.name.replace("0_", "1_")).read_bytes()


def test_labels_are_drawn_as_they_are():
    labels = {"unet": "_a_ $b$ c_1", "other": "{d} $e"}
    tables = tables_of(labels, 10)
    for figure in (dice_readings(tables["readings"]), dice_by_model(tables["comparison"], tables["per_study"])):
        drawn = [item for item, _ in texts(figure) if item.get_text() in labels.values()]
        assert [item.get_text() for item in drawn] == list(labels.values())
        assert not any(item.get_parse_math() for item in drawn)


def test_charts_stand_two_studies_without_an_interval():
    tables = tables_of(LABELS, studies=2)
    figure = dice_by_model(tables["comparison"], tables["per_study"].set_index("study"))
    assert "mean" in [item.get_text() for item, _ in texts(figure)]
    assert_legible(pairwise_differences(tables["pairwise"]))
    assert_legible(dice_by_cost(tables["comparison"], costs_of(LABELS)))
    for figure in (rank_stability(ranks_of(LABELS, 2), LABELS), volume_agreement(*volumes_of(LABELS, 2), LABELS)):
        assert_legible(figure)
        assert not any("nan" in item.get_text() for item, _ in texts(figure))


def test_ranks_are_written_as_shares_and_small_ones_left_out():
    ranks = pd.DataFrame([[0.996, 0.004], [0.004, 0.996]], index=list(LABELS), columns=[1, 2])
    figure = rank_stability(ranks, LABELS)
    cells = [item.get_text() for item in figure.axes[0].texts if item.get_text()]
    assert cells == ["100", "100"]
    models = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert models == list(LABELS.values()) and figure.axes[0].yaxis_inverted()


def test_the_model_of_the_best_mean_rank_comes_first():
    ranks = pd.DataFrame([[0.1, 0.2, 0.7], [0.6, 0.4, 0.0], [0.3, 0.4, 0.3]], index=list("abc"), columns=[1, 2, 3])
    figure = rank_stability(ranks, {"a": "A", "b": "B", "c": "C"})
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["B", "C", "A"]
    assert [item.get_text() for item in figure.axes[0].texts] == ["60", "40", "", "30", "40", "30", "10", "20", "70"]


def test_volumes_show_every_study_with_mean_difference_and_limits():
    reference, predicted = volumes_of(MANY, 20)
    panels = volume_agreement(reference, predicted, MANY).axes
    for axes, (model, label) in zip(panels, MANY.items(), strict=False):
        dots = next(line for line in axes.lines if line.get_linestyle() == "None").get_xydata()
        assert sorted(dots[:, 1]) == pytest.approx(sorted(predicted[model] - reference))
        assert dots[:, 0].max() <= axes.get_xlim()[1] and dots[:, 0].min() >= 0
        levels = [
            line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1 and len(line.get_ydata()) == 2
        ]
        assert levels[1:] == pytest.approx(limits_of_agreement(predicted[model] - reference))
        assert axes.get_title().startswith(label[:6])


def test_volumes_of_litres_leave_room_between_the_titles():
    reference, predicted = volumes_of(LABELS, 20)
    figure = volume_agreement(100 * reference, 100 * predicted, LABELS)
    titles = [box for item, box in texts(figure) if " to " in item.get_text()]
    assert len(titles) == len(LABELS) and not titles[0].overlaps(titles[1])


def test_cost_shows_only_models_whose_cost_is_known():
    comparison = tables_of(LABELS, studies=12)["comparison"]
    costs = costs_of({"unet": "U-Net"})
    left, right = dice_by_cost(comparison, costs).axes
    dots = [axes.containers[0].lines[0].get_xydata().tolist() for axes in (left, right)]
    mean = comparison.set_index("model").loc["unet", "mean_dice"]
    assert [len(left.containers), dots] == [1, [[[7, mean]], [[200, mean]]]]


def test_the_best_epoch_is_the_one_of_lowest_validation_loss():
    axes = learning_curves(histories_of({"unet": 1}), {"unet": "U-Net"}).axes
    dots = [[line.get_xydata()[0].tolist() for line in panel.lines if line.get_marker() == "o"] for panel in axes]
    assert dots == [[], [[5, 0]], [[5, 0.8]]]


def test_each_loss_has_a_panel_of_its_own_that_says_what_it_is():
    histories = histories_of(LABELS, seeds=2).assign(train_loss=7.0)
    figure = learning_curves(histories, LABELS)
    columns = ("train_loss", "validation_loss", "validation_dice")
    for panels, column in zip(np.reshape(figure.axes, (3, 2)), columns, strict=True):
        for axes, model in zip(panels, LABELS, strict=True):
            drawn = [line.get_ydata().tolist() for line in axes.lines if line.get_marker() != "o"]
            runs = histories[histories["model"] == model].groupby("seed")[column]
            assert drawn == [values.tolist() for _, values in runs]
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["Training loss", "Validation loss", "Validation Dice"]
    written = " ".join(item.get_text() for item, _ in texts(figure))
    assert "mean over batches" in written and "early stopping judges by the validation loss" in written


def test_a_validation_dice_that_is_undefined_leaves_its_panel_empty():
    histories = histories_of(LABELS).assign(validation_dice=np.nan)
    assert_legible(learning_curves(histories, LABELS))


@pytest.mark.parametrize("epochs", [1, 2, 3, 100])
def test_epochs_are_whole_numbers(epochs):
    histories = pd.concat([histories_of({"unet": 1})] * 9).assign(epoch=lambda table: np.arange(len(table)) + 1)
    lower = learning_curves(histories[:epochs], {"unet": "U-Net"}).axes[2]
    low, high = lower.get_xlim()
    assert all(len(line.get_xdata()) > 1 or line.get_marker() != "" for line in lower.lines)
    ticks = [tick for tick in lower.get_xticks() if low <= tick <= high]
    assert ticks and all(tick == round(tick) for tick in ticks)


def test_every_study_is_a_line_through_all_models():
    tables = tables_of(LABELS, studies=7)
    dice = tables["per_study"].set_index("study")
    axes = dice_by_model(tables["comparison"], dice).axes[0]
    lines = [line for line in axes.lines if line.get_linestyle() == "-" and len(line.get_xdata()) == len(LABELS)]
    assert sorted(line.get_xdata()[0] for line in lines) == pytest.approx(sorted(dice["unet"]))


def test_many_studies_are_dots_on_a_shape_without_lines():
    tables = tables_of(LABELS, studies=30)
    dice = tables["per_study"].set_index("study").assign(unet=0.5, unet_mobilenet_v2=np.nan)
    dice.iloc[0, 1] = 0.7
    axes = dice_by_model(tables["comparison"], dice).axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata()) == len(LABELS)]
    assert len(dots) == 30 and not any(line.get_linewidth() for line in dots)
    assert len(dice_by_model(tables["comparison"], tables["per_study"].set_index("study")).axes[0].collections) >= 2


def test_one_model_has_a_mark_for_each_reading():
    readings = tables_of(LABELS, studies=7)["readings"]
    axes = dice_readings(readings).axes[0]
    drawn = [line.get_xdata().tolist() for line in axes.lines]
    assert drawn == [readings[reading].tolist() for reading in READINGS]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(LABELS.values())


def test_many_pairs_are_cut_down_to_those_of_the_highest_mean():
    tables = tables_of(MANY, studies=12)
    leader = tables["comparison"].set_index("label")["mean_dice"].idxmax()
    labels = [label.get_text() for label in pairwise_differences(tables["pairwise"]).axes[0].get_yticklabels()]
    assert len(labels) == len(MANY) - 1
    assert all(leader in label for label in labels)


def test_the_middle_study_has_the_median_volume_of_those_with_lesion():
    assert middle_study({"a": 5, "b": 0, "c": 0, "d": 1, "e": 9}) == "a"
    assert middle_study({"b": 0, "a": 0}) == "b"


def test_a_run_of_slices_holds_most_lesion():
    voxels = [0, 0, 1, 5, 5, 5, 1, 0, 0, 0]
    assert lesion_run(voxels, 3) == [3, 4, 5]
    assert lesion_run(voxels, 3, step=2) == [1, 3, 5]
    assert lesion_run(voxels, 12) == list(range(10))
    assert lesion_run([0] * 10, 4, step=5) == [0, 2, 4, 6]


def slice_scores():
    """Two models, two studies of 40 slices: runs found, partly found, barely found, missed, false positive; empty."""
    rows = []
    for model, factor in (("a", 1.0), ("b", 0.8)):
        for study in ("study_0001", "study_0002"):
            for index in range(40):
                reference = 50 + index if index < 24 else 0
                predicted = 40 if index < 20 or 24 <= index < 30 else 0
                scores = [0.95, 0.95, 0.5, 0.5, 0.1 * (model == "a"), 0, 0, 0, 0, 0]
                dice = scores[index // 4] * factor if reference or predicted else np.nan
                rows.append((model, study, index, reference, predicted, dice))
    return pd.DataFrame(rows, columns=["model", "study", "slice", "reference_voxels", "predicted_voxels", "dice"])


def test_chosen_slices_cover_all_kinds_in_both_studies_without_neighbours():
    picks = varied_slices(slice_scores())
    assert len(picks) == 14 == len(set(picks))
    assert {pick.kind for pick in picks} == set(KINDS)
    assert sum(pick.kind == "empty" for pick in picks) == 1
    assert picks == sorted(picks)
    assert abs(sum(pick.study == "study_0001" for pick in picks) - 7) <= 2
    for one, other in itertools.combinations(picks, 2):
        assert one.study != other.study or abs(one.slice - other.slice) > 2


def test_as_many_slices_are_chosen_as_there_are():
    scores = slice_scores()
    picks = varied_slices(scores[(scores["study"] == "study_0001") & (scores["slice"] >= 38)])
    assert [pick.kind for pick in picks] == ["empty"]


def test_listed_slices_keep_their_order_and_are_checked():
    scores = slice_scores()
    wanted = [{"study": "study_0002", "slice": 20}, {"study": "study_0001", "slice": 1}]
    assert listed_slices(wanted, scores) == [Pick("study_0002", 20, "missed"), Pick("study_0001", 1, "found")]
    # What one model marks a little of is not missed, however low the mean.
    assert listed_slices([{"study": "study_0001", "slice": 18}], scores)[0].kind == "barely found"
    with pytest.raises(UserError, match=r"figures\.slices: study_0009 is not a test study.*study_0001, study_0002"):
        listed_slices([{"study": "study_0009", "slice": 1}], scores)
    with pytest.raises(UserError, match=r"study_0001 has no slice 40.*0 to 39"):
        listed_slices([{"study": "study_0001", "slice": 40}], scores)


@pytest.fixture(params=["axial", "coronal"])
def predicted(request, tmp_path):
    """Two studies in a plane, one model's predictions of them and its scores a slice."""
    affine = np.diag([-6.0, 3.0, 8.0, 1.0])
    rows = []
    for number in (1, 2):
        study = f"study_{number:04d}"
        reference, prediction = np.zeros((2, 24, 20, 12), np.uint8)
        reference[4:12, 6:14, 2:10] = 1
        prediction[6:14, 6:14, 2:10] = 1
        ct = Volume(np.full(reference.shape, -800, np.int16), affine)
        stack = stack_slices(study, ct, Volume(reference, affine), Preprocessing(request.param))
        save_stack(stack, tmp_path / f"{study}.npz")
        write_mask(tmp_path / "unet" / f"{study}.nii.gz", prediction, affine)
        for index, (a, b) in enumerate(zip(stack.mask, to_slices(prediction, affine, request.param), strict=True)):
            voxels, both = int(a.sum() + b.sum()), int((a & b).sum())
            rows.append((study, index, int(a.sum()), int(b.sum()), 2 * both / voxels if voxels else np.nan))
    scores = pd.DataFrame(rows, columns=["study", "slice", "reference_voxels", "predicted_voxels", "dice"])
    ratio = {"axial": 20 * 3 / (24 * 6), "coronal": 12 * 8 / (24 * 6)}[request.param]
    return SimpleNamespace(
        stacks=sorted(tmp_path.glob("*.npz")), folder=tmp_path / "unet", scores=scores, ratio=ratio, plane=request.param
    )


def assert_aspect(figure, ratio):
    """Every picture fills its axes, at the patient's proportions."""
    figure.draw_without_rendering()
    for axes in (axes for axes in figure.axes if axes.images):
        rows, columns = axes.images[0].get_array().shape[:2]
        assert axes.get_window_extent().height / axes.get_window_extent().width == pytest.approx(ratio, rel=1e-3)
        assert axes.get_aspect() * rows / columns == pytest.approx(ratio)


def test_example_slice_has_the_patients_proportions_and_an_outline(predicted):
    figure = example_slice(predicted.stacks)
    assert_legible(figure)
    assert_aspect(figure, predicted.ratio)
    assert len(figure.axes) == 3
    assert len(figure.axes[1].collections) == 1


def test_strip_shows_ten_slices_with_prediction_reference_and_dice(predicted):
    figure = prediction_strip(predicted.stacks, predicted.folder, predicted.scores, "U-Net")
    assert_legible(figure)
    assert_aspect(figure, predicted.ratio)
    assert len([axes for axes in figure.axes if axes.images]) == 30
    written = [item.get_text() for item, _ in texts(figure)]
    assert [written.count(title) for title in ("CT", "prediction", "reference")] == [2, 2, 2]
    assert "50 mm" in written
    assert "0.75" in written
    assert any(text.startswith(f"U-Net: study_0002, {predicted.plane} slices") for text in written)


def test_grid_colours_what_is_found_added_and_missed(predicted):
    lesion = predicted.scores[predicted.scores["reference_voxels"] > 0].iloc[0]
    picks = [Pick(lesion["study"], int(lesion["slice"]), "found")]
    (view,) = read_views(picks, predicted.stacks, [predicted.folder], [predicted.scores])
    figure = model_grid([view], ["U-Net with MobileNetV2 encoder"])
    assert_legible(figure)
    assert_aspect(figure, predicted.ratio)
    picture = figure.axes[2].images[0].get_array()
    colours = {tuple(colour) for colour in picture.reshape(-1, 3).round(6)}
    assert colours == {tuple(np.round(to_rgb(name), 6)) for name in ("black", "white", ORANGE, SKY)}
    # The array's first axis runs to the patient's left, which the viewer has on the right: so do the added voxels.
    columns = [np.flatnonzero((picture == to_rgb(name)).all(axis=2).any(axis=0)).mean() for name in (SKY, ORANGE)]
    assert columns[0] < columns[1]


def test_grid_without_slices_says_so():
    assert [item.get_text() for item, _ in texts(model_grid([], ["U-Net"]))] == ["No further slice was chosen."]


def captions():
    params = SimpleNamespace(
        studies="10 test studies (averaged over 2 seeds)", runs=[["unet", 0, 0]], labels=LABELS, label="U-Net",
        resamples=10000, plane="coronal", paper=True, slices="auto",
    )  # fmt: skip
    return SimpleNamespace(params=params, input=SimpleNamespace(), config={}, wildcards=SimpleNamespace())


def test_captions_render(repository):
    paths = set((repository / "workflow" / "report").glob("*.rst")) - {
        repository / "workflow" / "report" / "workflow.rst"
    }
    assert len(paths) >= 14
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    for path in paths:
        text = environment.from_string(path.read_text()).render(snakemake=captions())
        body = publish_parts(text, writer="html", settings_overrides={"halt_level": 2})["body"]
        assert body.startswith("<p>"), path


@pytest.mark.parametrize("caption", ["predictions", "model_grid", "summary"])
@pytest.mark.parametrize("label", ["*i* _u_ `c` |v| \\n x_ <b>&</b> {{ a }} {% b %}", " two\n\nlines\u2028more", "x::"])
def test_a_label_is_no_markup_in_a_caption(repository, caption, label):
    text = (repository / "workflow" / "report" / f"{caption}.rst").read_text()
    snakemake = captions()
    snakemake.params.label, snakemake.params.labels = label, {"unet": label}
    rendered = Environment(trim_blocks=True, lstrip_blocks=True).from_string(text).render(snakemake=snakemake)
    body = publish_parts(rendered, writer="html", settings_overrides={"halt_level": 2})["body"]
    assert html.escape(label).split() == body.partition("<span>")[2].partition("</span>")[0].split()
