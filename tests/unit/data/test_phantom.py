from dataclasses import replace

import numpy as np
import pytest

from lesionbench.data.inventory import read_registry
from lesionbench.data.phantom import lungs_of, synthesise, write_phantom
from lesionbench.data.scans import read_ct, read_mask
from lesionbench.data.studies import DataSet, Phantom, find_studies, phantom_studies
from lesionbench.data.volume import to_slices

PHANTOM = Phantom(studies=14, annotated=10, size=64, slices=[16, 22], seed=0)
STUDIES = [study.name for study in phantom_studies(".", PHANTOM) if study.mask]


@pytest.fixture(scope="module")
def annotated():
    return {name: synthesise(name, "CT-1", PHANTOM) for name in STUDIES}


def display(ct, plane="axial"):
    return to_slices(ct.data, ct.affine, plane)


def test_geometry(annotated):
    counts = {ct.data.shape[2] for ct, _ in annotated.values()}
    assert counts <= set(range(16, 23))
    assert len(counts) > 2
    for ct, mask in annotated.values():
        assert ct.data.shape == mask.shape
        assert ct.data.dtype == np.int16
        assert ct.orientation == "LAS"
        np.testing.assert_allclose(ct.spacing, [360 / 64, 360 / 64, 8])


def test_intensities_are_those_of_a_chest(annotated):
    for ct, _ in annotated.values():
        middle = display(ct)[ct.data.shape[2] // 2]
        assert abs(np.median(middle[:6]) + 1000) < 15, "air in front of the patient"
        assert 0.1 < ((middle > -920) & (middle < -750)).mean() < 0.4, "lung"
        assert 0.05 < (np.abs(middle - 45) < 60).mean() < 0.5, "soft tissue"
        assert (middle > 300).mean() > 0.01, "bone"
        assert ct.data.max() < 1200


def test_the_heart_is_on_the_patients_left(annotated):
    for ct, _ in annotated.values():
        coronal = display(ct, "coronal")[24:36]
        lower = coronal[:, coronal.shape[1] // 2 : coronal.shape[1] * 3 // 4]
        soft = np.abs(lower - 45) < 100
        half = soft.shape[2] // 2
        assert soft[:, :, half : half + 14].sum() > 1.2 * soft[:, :, half - 14 : half].sum()


def test_lesions_are_ground_glass_and_consolidation_on_some_slices(annotated):
    values = np.concatenate([ct.data[mask > 0] for ct, mask in annotated.values()])
    assert ((values > -700) & (values < -300)).mean() > 0.6, "ground glass"
    assert ((values > -100) & (values < 100)).mean() > 0.02, "consolidation"
    for _, mask in annotated.values():
        on_slice = mask.any(axis=(0, 1))
        assert on_slice.any()
        assert not on_slice[[0, -1]].any()


def test_no_threshold_finds_the_lesions(annotated):
    """Vessels, noise and partial volume share the intensities of ground glass, so a model has something to learn."""
    ct = np.concatenate([ct.data.ravel() for ct, _ in annotated.values()])
    mask = np.concatenate([mask.ravel() for _, mask in annotated.values()]) > 0
    found = (ct > -700) & (ct < -250)
    assert 2 * (found & mask).sum() / (found.sum() + mask.sum()) < 0.5


def test_a_higher_class_has_more_lesion():
    volumes = [
        sum(int(synthesise(name, category, PHANTOM)[1].sum()) for name in STUDIES[:4])
        for category in ("CT-0", "CT-1", "CT-2", "CT-3", "CT-4")
    ]
    assert volumes[0] == 0
    assert volumes == sorted(set(volumes))


@pytest.mark.parametrize(("category", "low", "high"), [("CT-0", 0, 0), ("CT-1", 0.002, 0.25), ("CT-2", 0.25, 0.5),
                                                       ("CT-3", 0.5, 0.75), ("CT-4", 0.75, 0.95)])  # fmt: skip
def test_lesions_of_graded_phantoms_take_the_share_of_the_lungs_that_the_class_means(category, low, high):
    graded = replace(PHANTOM, size=48, graded=True)
    shares = [synthesise(name, category, graded)[1].sum() / lungs_of(name, graded).sum() for name in STUDIES[:3]]
    assert low <= min(shares) and max(shares) <= high


def test_a_data_set_is_written_as_it_is_announced(tmp_path):
    phantom = replace(PHANTOM, studies=4, annotated=3, size=32, slices=[4, 6])
    write_phantom(tmp_path, phantom)
    studies = phantom_studies(tmp_path, phantom)
    assert find_studies(DataSet(tmp_path)) == studies
    ct, mask = synthesise("study_0002", "CT-1", phantom)
    np.testing.assert_array_equal(read_ct(studies[1].ct).data, ct.data)
    np.testing.assert_array_equal(read_mask(studies[1].mask).data, mask)
    np.testing.assert_allclose(read_mask(studies[1].mask).affine, read_ct(studies[1].ct).affine)
    assert (tmp_path / "dataset_registry.csv").read_bytes().startswith(b"\xef\xbb\xbfstudy_id,")
    assert list(read_registry(tmp_path)["category"]) == [study.category for study in studies]


def test_a_study_depends_on_seed_and_name_alone(tmp_path):
    phantom = replace(PHANTOM, studies=3, annotated=3, size=32, slices=[4, 6])
    write_phantom(tmp_path / "few", phantom)
    write_phantom(tmp_path / "more", replace(phantom, studies=5))
    write_phantom(tmp_path / "other", replace(phantom, seed=1))
    for name in ("studies/CT-1/study_0003.nii.gz", "masks/study_0003_mask.nii.gz"):
        assert (tmp_path / "few" / name).read_bytes() == (tmp_path / "more" / name).read_bytes()
        assert (tmp_path / "few" / name).read_bytes() != (tmp_path / "other" / name).read_bytes()


def test_anatomy_does_not_depend_on_the_matrix():
    coarse, fine = (
        synthesise("study_0001", "CT-0", replace(PHANTOM, size=size, slices=[16, 16]))[0].data for size in (48, 96)
    )
    shrunk = fine.reshape(48, 2, 48, 2, 16).mean(axis=(1, 3))
    assert np.corrcoef(coarse.ravel(), shrunk.ravel())[0, 1] > 0.97
