"""CT slices have the patient's proportions, and colours show what a model found, added and missed."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

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
