"""CT slices have the patient's proportions, and contours show what a model and the reference call lesion."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from drawn import assert_aspect, assert_legible, texts
from lesionbench.data.nifti import write_mask
from lesionbench.data.preprocessing import Preprocessing
from lesionbench.data.slices import save_stack, stack_slices
from lesionbench.data.volume import Volume, to_slices
from lesionbench.report.figures.ct_panels import example_slice, model_grid, prediction_strip, read_views
from lesionbench.report.shown_slices import Pick
from lesionbench.report.style import ORANGE, SKY
from tiny import by_study


def scan(folder, shape, plane, study="study_0001"):
    """Slices of a study whose first voxel is lesion, a prediction of all its voxels, and its scores a slice."""
    affine = np.diag([-6.0, 3.0, 8.0, 1.0])
    reference = np.zeros(shape, np.uint8)
    reference[0, 0, 0] = 1
    stack = stack_slices(
        study, Volume(np.full(shape, -800, np.int16), affine), Volume(reference, affine), Preprocessing(plane)
    )
    save_stack(stack, folder / f"{study}.npz")
    write_mask(folder / "unet" / f"{study}.nii.gz", np.ones(shape, np.uint8), affine)
    rows = [(study, index, int(mask.sum()), mask.size, 0.5) for index, mask in enumerate(stack.mask)]
    scores = pd.DataFrame(rows, columns=["study", "slice", "reference_voxels", "predicted_voxels", "dice"])
    return {study: folder / f"{study}.npz"}, folder / "unet", scores


def figures_of(stacks, folder, scores, label="U-Net"):
    """All figures of slices."""
    (study,) = stacks
    views = read_views([Pick(study, 0, "found")], stacks, [folder, folder], [scores, scores])
    strip = prediction_strip(stacks, folder, scores, label)
    return example_slice(stacks), strip, model_grid(views, [label, f"{label} 2"])


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
    stacks = by_study(sorted(tmp_path.glob("*.npz")))
    return SimpleNamespace(stacks=stacks, folder=tmp_path / "unet", scores=scores, ratio=ratio, plane=request.param)


def test_example_slice_has_the_patients_proportions_and_an_outline(predicted):
    figure = example_slice(predicted.stacks)
    assert_legible(figure)
    assert_aspect(figure, predicted.ratio)
    assert len(figure.axes) == 3
    assert len(figure.axes[1].collections) == 1


def contours(axes):
    """The contours drawn in a panel as (colour, width of a box around it in pixels, its left border)."""
    found = [
        (to_hex(drawn.get_edgecolor()[0]).upper(), drawn.get_paths()[0].get_extents()) for drawn in axes.collections
    ]
    return [(colour, box.width, box.x0) for colour, box in found]


def test_strip_shows_contours_on_the_ct_of_worst_and_best_study(predicted):
    worse = predicted.scores["study"] == "study_0001"
    scores = predicted.scores.assign(dice=predicted.scores["dice"].where(~worse, predicted.scores["dice"] / 2))
    figure = prediction_strip(predicted.stacks, predicted.folder, scores, "U-Net")
    assert_legible(figure)
    assert_aspect(figure, predicted.ratio)
    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 2 * 2 * 7
    assert all(len(axes.images) == 1 and (axes.images[0].get_array() == -800).all() for axes in panels)
    drawn = np.reshape([len(axes.collections) for axes in panels], (2, 2, 7))
    assert not drawn[:, 0].any() and set(drawn[:, 1].flat) <= {0, 2} and (drawn[:, 1].sum(axis=1) >= 8).all()
    written = [item.get_text() for item, _ in texts(figure)]
    assert f"U-Net, {predicted.plane} slices" in written and "50 mm" in written
    assert "worst: study_0001, Dice 0.38" in written and "best: study_0002, Dice 0.75" in written
    assert written.count("0.75") == np.count_nonzero(drawn[1, 1]) and {"reference", "prediction"} <= set(written)


def test_a_strip_of_one_study_with_few_slices_leaves_the_other_panels_blank(predicted):
    scores = predicted.scores[predicted.scores["study"] == "study_0002"].head(3)
    figure = prediction_strip(predicted.stacks, predicted.folder, scores, "U-Net")
    assert len([axes for axes in figure.axes if axes.images]) == 2 * 3
    assert_legible(figure)


def test_grid_draws_the_contours_of_reference_and_prediction_where_they_lie(predicted):
    lesion = predicted.scores[predicted.scores["reference_voxels"] > 0].iloc[0]
    picks = [Pick(lesion["study"], int(lesion["slice"]), "found")]
    (view,) = read_views(picks, predicted.stacks, [predicted.folder], [predicted.scores])
    figure = model_grid([view], ["U-Net with MobileNetV2 encoder"])
    assert_legible(figure)
    assert_aspect(figure, predicted.ratio)
    assert [len(axes.collections) for axes in figure.axes] == [0, 2]
    (blue, width, left), (orange, other, right) = contours(figure.axes[1])
    assert [blue, orange] == [SKY, ORANGE] and width == other == 8
    # The array's first axis runs to the patient's left, which the viewer has on the right: so does the prediction.
    assert right == left + 2


def test_the_contour_of_a_mask_that_touches_the_border_closes(predicted):
    lesion = predicted.scores[predicted.scores["reference_voxels"] > 0].iloc[0]
    picks = [Pick(lesion["study"], int(lesion["slice"]))]
    (view,) = read_views(picks, predicted.stacks, [predicted.folder], [predicted.scores])
    whole = np.ones_like(view.reference)
    figure = model_grid([replace(view, reference=whole, predictions=(np.zeros_like(whole),))], ["U-Net"])
    (found,) = contours(figure.axes[1])
    assert found == (SKY, whole.shape[1], -0.5)
    assert_aspect(figure, predicted.ratio)


def test_grid_without_slices_says_so():
    assert [item.get_text() for item, _ in texts(model_grid([], ["U-Net"]))] == ["No further slice was chosen."]


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (24, 20, 1), (24, 1, 12), (1, 20, 12), (2, 2, 2)])
def test_pictures_of_any_size_are_drawn_at_the_patients_proportions(tmp_path, shape, plane):
    figures = figures_of(*scan(tmp_path, shape, plane))
    (rows, columns), spacing = figures[0].axes[0].images[0].get_array().shape, [6.0, 3.0, 8.0]
    height, width = {"axial": (1, 0), "coronal": (2, 0), "sagittal": (2, 1)}[plane]
    for figure in figures:
        assert_legible(figure)
        assert_aspect(figure, rows * spacing[height] / (columns * spacing[width]))


def test_the_outline_of_a_lesion_at_the_border_is_closed(tmp_path):
    (outline,) = example_slice(scan(tmp_path, (24, 20, 4), "axial")[0]).axes[1].collections
    (path,) = outline.get_paths()
    assert (path.vertices[0] == path.vertices[-1]).all() and len(path.vertices) == 5


def test_white_that_reaches_the_border_of_a_picture_has_a_frame(tmp_path):
    _, outline, mask = example_slice(scan(tmp_path, (24, 20, 4), "axial")[0]).axes
    assert mask.spines["top"].get_visible() and not outline.spines["top"].get_visible()


@pytest.mark.parametrize(("size", "length"), [(24, 50), (4, 20), (1, 5)])
def test_the_scale_bar_fits_into_the_picture(tmp_path, size, length):
    ct = example_slice(scan(tmp_path, (size, 20, 4), "axial")[0]).axes[0]
    start, end = ct.lines[0].get_xdata()
    assert (end - start) * 6 == pytest.approx(length) and end < size
    assert any(f"{length} mm" in item.get_text() for item in ct.texts)


def test_long_names_of_studies_and_models_stay_in_the_figure(tmp_path):
    study = "1.2.840.113619.2.55.3.604688119.969.1268071029.320"
    for figure in figures_of(*scan(tmp_path, (24, 20, 4), "axial", study), "A label of many words " * 5):
        assert_legible(figure)
        words = "".join(item.get_text().replace("\n", "") for item, _ in texts(figure))
        assert study in words


def test_titles_of_twenty_models_do_not_overlap(tmp_path):
    stacks, folder, scores = scan(tmp_path, (24, 20, 4), "axial")
    labels = [f"DeepLabV3Plus with EfficientNet encoder B{number}, axial" for number in range(20)]
    views = read_views([Pick("study_0001", 0, "found")], stacks, [folder] * 20, [scores] * 20)
    figure = model_grid(views, labels)
    assert_legible(figure)
    titles = [(axes.title.get_text(), axes.title.get_window_extent()) for axes in figure.axes if axes.get_title()]
    assert len({text for text, _ in titles}) == 21
    assert not any(one.overlaps(other) for (_, one), (_, other) in itertools.combinations(titles, 2))
