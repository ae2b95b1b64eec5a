"""CT slices have the patient's proportions, and contours show what a model and the reference call lesion."""

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
