import itertools
import math

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nibabel.orientations import apply_orientation, inv_ornt_aff
from scipy.spatial.distance import cdist

from lesionbench.data.nifti import write_mask
from lesionbench.data.volume import PLANES, Volume
from lesionbench.errors import UserError
from lesionbench.evaluation.metrics import MaskPair, evaluate, evaluate_study, surface_scores
from lesionbench.evaluation.scoring import Scoring

AFFINE = np.array([[-0.5, 0, 0, 10], [0, 2, 0, -20], [0, 0, 5, 30], [0, 0, 0, 1.0]])
SPACING = np.array([0.5, 2, 5])
SCORING = Scoring(surface_tolerance_mm=3, min_lesion_mm3=15)  # three voxels
SHARES = ["dice", "precision", "recall", "surface_dice", "lesion_f1", "lesion_sq", "lesion_pq", "lesion_dice"]
SHARES += ["lesion_f1_strict", "lesion_sq_strict", "lesion_pq_strict"]
masks = arrays(np.bool_, (4, 5, 3))


def score(reference, prediction, plane="axial"):
    pair = MaskPair(Volume(reference, AFFINE), Volume(prediction, AFFINE), plane, SCORING)
    return evaluate_study(pair), pair.slices


def line(length, *marked):
    mask = np.zeros((length, 1, 1), dtype=bool)
    mask[list(marked)] = True
    return mask


def random_masks(seed, shape=(9, 8, 7)):
    generator = np.random.default_rng(seed)
    return tuple(generator.random(shape) < density for density in generator.uniform(0.02, 0.5, 2))


def same(a, b):
    return a == pytest.approx(b, nan_ok=True)


def same_rows(a, b):
    return len(a) == len(b) and all(map(same, a, b))


def test_scores_of_a_case_done_by_hand():
    scores, _ = score(line(8, 0, 1, 2, 3), line(8, 2, 3, 4))
    expected = {
        "dice": 4 / 7,
        "precision": 2 / 3,
        "recall": 2 / 4,
        # Distances 0, 0, 0.5 mm to the reference and 1, 0.5, 0, 0 mm back, whose 95th percentile is 0.925.
        "hd95_mm": 0.925,
        "surface_dice": 1,
        "nothing_predicted": 0,
        "reference_ml": 0.020,
        "predicted_ml": 0.015,
        "volume_difference_ml": -0.005,
        "relative_volume_difference": -1 / 4,
        "absolute_volume_difference_ml": 0.005,
        "false_positive_ml": math.nan,
        "any_false_positive": math.nan,
        "false_slices": 0,
        "false_slices_ml": 0,
        "lesions_reference": 1,
        "lesions_dropped": 0,
        "lesions_found": 1,
        "lesions_missed": 0,
        "lesions_false": 0,
        "lesion_dice": 4 / 7,
        "lesion_f1": 1,
        "lesion_sq": 2 / 5,
        "lesion_pq": 2 / 5,
        "lesion_f1_strict": 0,
        "lesion_sq_strict": 0,
        "lesion_pq_strict": 0,
    }
    assert list(scores) == list(expected) and scores == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("axis", range(3))
def test_distances_follow_the_spacing(axis):
    a, b = np.moveaxis(line(4, 0), 0, axis), np.moveaxis(line(4, 2), 0, axis)
    distance = 2 * SPACING[axis]
    assert surface_scores(a, b, SPACING, distance) == pytest.approx((distance, 1))
    assert surface_scores(a, b, SPACING, 0.99 * distance) == pytest.approx((distance, 0))


def test_the_percentile_leaves_out_the_furthest_and_takes_the_worse_direction():
    # 21 voxels against the first of them: distances 0, 1, … 20 one way and 0 the other.
    hd95, surface_dice = surface_scores(line(21, 0), line(21, *range(21)), np.ones(3), 3)
    assert hd95 == pytest.approx(19)
    assert surface_dice == pytest.approx((4 + 1) / 22)


def test_only_the_surface_counts():
    cube = np.ones((5, 5, 5), dtype=bool)
    hollow = cube.copy()
    hollow[2, 2, 2] = False
    # 125 − 27 voxels face the outside; the hole adds its 6 neighbours, 1 mm below the surface.
    assert surface_scores(cube, hollow, np.ones(3), 0)[1] == pytest.approx(2 * 98 / (98 + 104))
    assert surface_scores(cube, hollow, np.ones(3), 1)[1] == 1


def test_the_smallest_lesion_is_a_volume_on_any_grid():
    reference, prediction = np.zeros((2, 12, 4, 2), dtype=bool)
    reference[:2, 0, 0] = reference[5:8, 0, 0] = prediction[5:8, 0, 0] = True
    coarse, _ = score(reference, prediction)
    halved = [np.repeat(mask, 2, axis=0) for mask in (reference, prediction)]
    fine = evaluate_study(
        MaskPair(*(Volume(mask, AFFINE @ np.diag([0.5, 1, 1, 1])) for mask in halved), "axial", SCORING)
    )
    for scores in (coarse, fine):
        assert [scores[f"lesions_{what}"] for what in ("reference", "dropped", "found")] == [1, 1, 1]


NOTHING, SOMETHING = line(4), line(4, 1, 2, 3)
DIAGONAL = np.linalg.norm([4 * 0.5, 2, 5])


def test_where_the_reference_is_empty_only_false_volume_is_scored():
    overlap = [*SHARES, "hd95_mm", "nothing_predicted", "relative_volume_difference"]
    for prediction, predicted in ((NOTHING, 0), (SOMETHING, 0.015)):
        scores, _ = score(NOTHING, prediction)
        assert all(math.isnan(scores[name]) for name in overlap)
        assert scores["false_positive_ml"] == pytest.approx(predicted)
        assert scores["any_false_positive"] == scores["lesions_false"] == prediction.any()
        assert scores["absolute_volume_difference_ml"] == pytest.approx(predicted)


def test_where_nothing_is_predicted_of_a_lesion_every_score_is_the_worst():
    scores, _ = score(SOMETHING, NOTHING)
    assert [scores[name] for name in SHARES] == [0] * len(SHARES)
    assert scores["hd95_mm"] == pytest.approx(DIAGONAL)
    assert [scores["nothing_predicted"], scores["relative_volume_difference"]] == [1, -1]
    assert scores["lesions_reference"] == scores["lesions_missed"] == 1
    assert math.isnan(scores["false_positive_ml"]) and math.isnan(scores["any_false_positive"])


def test_silence_is_worse_than_any_attempt():
    reference = np.zeros((20, 10, 5), dtype=bool)
    reference[2:6, 2:5, 1:3] = True
    far = np.zeros_like(reference)
    far[17, 9, 4] = True
    silent, attempt = score(reference, np.zeros_like(reference))[0], score(reference, far)[0]
    assert silent["hd95_mm"] > attempt["hd95_mm"]
    assert all(silent[name] <= attempt[name] for name in SHARES)


def test_slices_are_scored_from_foot_to_head():
    reference, prediction = np.zeros((2, 2, 2, 4), dtype=bool)
    reference[0, :, 1] = prediction[0, 0, 1] = prediction[1, 1, 2] = reference[0, 0, 3] = True
    scores, slices = score(reference, prediction)
    expected = [[0, 0, 0, math.nan], [1, 2, 1, 2 / 3], [2, 0, 1, 0], [3, 1, 0, 0]]
    columns = ["slice", "reference_voxels", "predicted_voxels", "dice"]
    assert same_rows(slices, [dict(zip(columns, row, strict=True)) for row in expected])
    assert [scores["false_slices"], scores["false_slices_ml"]] == pytest.approx([1, 0.005])


def test_which_slices_are_false_depends_on_the_plane():
    reference, prediction = np.zeros((2, 2, 3, 4), dtype=bool)
    reference[0, 0, 0] = True
    prediction[0, 1, :3] = True
    found = [score(reference, prediction, plane)[0] for plane in PLANES]
    assert [scores["false_slices"] for scores in found] == [2, 1, 0]
    assert [scores["false_slices_ml"] for scores in found] == pytest.approx([0.010, 0.015, 0])


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
@pytest.mark.parametrize("seed", range(10))
def test_monai_agrees(seed):
    import torch
    from monai.metrics import compute_dice, compute_hausdorff_distance, compute_surface_dice

    reference, prediction = random_masks(seed)
    scores, _ = score(reference, prediction)
    y, y_pred = (torch.from_numpy(mask)[None, None].float() for mask in (reference, prediction))
    spacing = SPACING.tolist()
    hd95 = compute_hausdorff_distance(y_pred, y, include_background=True, percentile=95, spacing=spacing)
    surface_dice = compute_surface_dice(y_pred, y, [3], include_background=True, spacing=spacing)
    assert scores["dice"] == pytest.approx(compute_dice(y_pred, y).item())
    assert scores["hd95_mm"] == pytest.approx(hd95.item())
    assert scores["surface_dice"] == pytest.approx(surface_dice.item())


def plain_scores(reference, prediction):
    """The scores from lists of voxels and all distances between them."""

    def surface(mask):
        padded = np.pad(mask, 1)
        return [
            voxel
            for voxel in np.argwhere(padded)
            if not all(padded[tuple(voxel + step)] for step in (*np.eye(3, dtype=int), *-np.eye(3, dtype=int)))
        ]

    a, b = ({tuple(voxel) for voxel in np.argwhere(mask)} for mask in (reference, prediction))
    distances = cdist(surface(reference) * SPACING, surface(prediction) * SPACING)
    there, back = distances.min(axis=0), distances.min(axis=1)
    return {
        "dice": 2 * len(a & b) / (len(a) + len(b)),
        "precision": len(a & b) / len(b),
        "recall": len(a & b) / len(a),
        "hd95_mm": max(np.percentile(there, 95), np.percentile(back, 95)),
        "surface_dice": (sum(there <= 3) + sum(back <= 3)) / (len(there) + len(back)),
        "reference_ml": len(a) * 0.005,
        "predicted_ml": len(b) * 0.005,
        "volume_difference_ml": (len(b) - len(a)) * 0.005,
        "relative_volume_difference": (len(b) - len(a)) / len(a),
        "absolute_volume_difference_ml": abs(len(a) - len(b)) * 0.005,
        "false_slices": len({k for _, _, k in b} - {k for _, _, k in a}),
        "false_slices_ml": sum(k not in {k for _, _, k in a} for _, _, k in b) * 0.005,
    }


@pytest.mark.parametrize("seed", range(10))
def test_a_plain_implementation_agrees(seed):
    reference, prediction = random_masks(seed)
    scores, expected = score(reference, prediction)[0], plain_scores(reference, prediction)
    assert {name: scores[name] for name in expected} == pytest.approx(expected)


@settings(deadline=None)
@given(masks, masks)
def test_bounds_and_symmetry(a, b):
    there, back = score(a, b)[0], score(b, a)[0]
    assert all(math.isnan(there[name]) or 0 <= there[name] <= 1 for name in SHARES)
    assert there["lesions_found"] + there["lesions_missed"] == there["lesions_reference"]
    assert there["volume_difference_ml"] == -back["volume_difference_ml"]
    if a.any() and b.any():
        assert same([there[name] for name in ("dice", "hd95_mm")], [back[name] for name in ("dice", "hd95_mm")])
        assert same([there["precision"], there["recall"]], [back["recall"], back["precision"]])


@settings(deadline=None)
@given(masks)
def test_a_mask_agrees_with_itself(mask):
    scores, _ = score(mask, mask)
    for name in SHARES:
        defined = scores["lesions_reference"] if name.startswith("lesion_") else mask.any()
        assert same(scores[name], 1 if defined else math.nan)
    assert same(scores["hd95_mm"], 0 if mask.any() else math.nan)
    assert scores["lesions_missed"] == scores["lesions_false"] == 0


@settings(deadline=None)
@given(masks, masks, st.permutations(range(3)), st.tuples(*[st.sampled_from([1, -1])] * 3), st.sampled_from(PLANES))
def test_flips_and_permutations_of_the_axes_change_nothing(a, b, axes, flips, plane):
    transform = np.array(list(zip(axes, flips, strict=True)))
    affine = AFFINE @ inv_ornt_aff(transform, a.shape)
    turned = [Volume(apply_orientation(mask, transform), affine) for mask in (a, b)]
    scores, slices = score(a, b, plane)
    pair = MaskPair(*turned, plane, SCORING)
    assert evaluate_study(pair) == pytest.approx(scores, nan_ok=True)
    assert same_rows(pair.slices, slices)


def write_study(folder, study, reference, prediction, affine=AFFINE):
    write_mask(folder / "references" / f"{study}_mask.nii.gz", reference, AFFINE)
    if prediction is not None:
        write_mask(folder / "predictions" / f"{study}.nii.gz", prediction, affine)
    return folder / "references" / f"{study}_mask.nii.gz"


def test_tables_have_a_row_a_study_and_a_row_a_slice(tmp_path):
    pairs = {f"study_{seed:04d}": random_masks(seed, (4, 5, 6)) for seed in range(2)}
    references = [write_study(tmp_path, study, *pair) for study, pair in pairs.items()]
    studies, slices = evaluate(dict(zip(pairs, references, strict=True)), tmp_path / "predictions", "coronal", SCORING)
    for study, pair in pairs.items():
        scores, rows = score(*pair, plane="coronal")
        assert studies.set_index("study").loc[study].to_dict() == pytest.approx(scores, nan_ok=True)
        assert same_rows(slices[slices["study"] == study].drop(columns="study").to_dict("records"), rows)
    assert list(slices.columns) == ["study", "slice", "reference_voxels", "predicted_voxels", "dice"]


def test_a_prediction_whose_axes_run_the_other_way_scores_the_same(tmp_path):
    a, b = random_masks(0, (4, 5, 6))
    turn = np.array([[1, -1], [2, 1], [0, -1]])
    turned = apply_orientation(b, turn), AFFINE @ inv_ornt_aff(turn, b.shape)
    references = {
        "straight": write_study(tmp_path, "straight", a, b),
        "turned": write_study(tmp_path, "turned", a, *turned),
    }
    for table in evaluate(references, tmp_path / "predictions", "axial", SCORING):
        straight, other = (rows.drop(columns="study").to_numpy() for _, rows in table.groupby("study"))
        np.testing.assert_array_equal(straight, other)


def test_all_unusable_predictions_are_told_at_once(tmp_path):
    a, b = random_masks(0)
    references = [
        write_study(tmp_path, "study_0001", a, b),
        write_study(tmp_path, "study_0002", a, None),
        write_study(tmp_path, "study_0003", a, b[:-1]),
        write_study(tmp_path, "study_0004", a, b, AFFINE + np.eye(4, k=3)),
        write_study(tmp_path, "study_0005", a, b),
    ]
    nib.save(nib.Nifti1Image(b.astype(np.uint8) * 2, AFFINE), tmp_path / "predictions" / "study_0005.nii.gz")
    studies = [f"study_{number:04d}" for number in range(1, 6)]
    with pytest.raises(UserError) as caught:
        evaluate(dict(zip(studies, references, strict=True)), tmp_path / "predictions", "axial", SCORING)
    problems = str(caught.value).splitlines()
    assert len(problems) == 4
    expected = zip(problems, ("missing", "reference and prediction lie", "1 mm apart", "labels"), strict=True)
    for (problem, what), study in itertools.zip_longest(expected, studies[1:]):
        assert study in problem and what in problem
