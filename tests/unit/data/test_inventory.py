import gzip
import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from lesionbench.data.inventory import class_counts, findings_frame, inventory, read_registry, refuse_errors
from lesionbench.data.nifti import write_mask, write_volume
from lesionbench.data.phantom import write_phantom
from lesionbench.data.reading import Reading
from lesionbench.data.scans import read_ct, read_mask
from lesionbench.data.studies import DataSet, Phantom, find_studies
from lesionbench.errors import UserError
from lesionbench.files import sha256

PHANTOM = Phantom(studies=4, annotated=2, size=32, slices=[4, 6], seed=0)


@pytest.fixture
def root(tmp_path):
    write_phantom(tmp_path, PHANTOM)
    return tmp_path


def take(root, registry=None, **options):
    return inventory(find_studies(DataSet(root)), root, registry, threads=2, **options)


def kinds(taken):
    return [(finding.severity, finding.kind, finding.study) for finding in taken.findings]


def registry_csv(root, *rows, header="study_id,category,study_file,mask_file", newline="\n", mark=""):
    text = newline.join([header, *rows, ""])
    (root / "dataset_registry.csv").write_text(mark + text, encoding="utf-8", newline="")
    return root


def test_a_row_says_what_a_study_is(root):
    table = take(root, read_registry(root)).table.set_index("study")
    row = table.loc["study_0001"]
    mask = read_mask(root / row["mask"])
    assert row["category"] == "CT-1"
    assert row["ct"] == "studies/CT-1/study_0001.nii.gz"
    assert row["shape"] == "x".join(map(str, mask.data.shape))
    assert row["spacing_mm"] == "11.25x11.25x8.0"
    assert row["orientation"] == "LAS"
    slices = tuple(row[f"{plane}_slices"] for plane in ("axial", "coronal", "sagittal"))
    assert slices == (mask.data.shape[2], 32, 32)
    assert row["lesion_slices"] == np.count_nonzero(mask.data.sum(axis=(0, 1)))
    assert row["lesion_ml"] == pytest.approx(mask.data.sum() * 11.25 * 11.25 * 8 / 1000, abs=1e-4)
    assert (row["ct_sha256"], row["mask_sha256"]) == (sha256(root / row["ct"]), sha256(root / row["mask"]))
    assert table.loc["study_0003", ["mask", "lesion_slices", "lesion_ml", "mask_sha256"]].isna().all()


def test_slices_are_counted_by_plane_and_not_by_axis(tmp_path):
    mask = np.zeros((5, 7, 9), np.uint8)
    mask[2, 3:5, 4] = 1
    affine = np.array([[0, 0, 2.0, 0], [3.0, 0, 0, 0], [0, -8.0, 0, 0], [0, 0, 0, 1]])
    write_mask(tmp_path / "masks" / "study_0001_mask.nii.gz", mask, affine)
    (row,) = take(tmp_path).table.to_dict("records")
    assert row["orientation"] == "AIR"
    assert (row["axial_slices"], row["coronal_slices"], row["sagittal_slices"]) == (7, 5, 9)
    assert (row["lesion_slices"], row["lesion_ml"]) == (2, pytest.approx(2 * 0.048))
    assert pd.isna(row["ct"]) and pd.isna(row["category"])


def test_all_faulty_studies_are_named_at_once(root):
    truncated, foreign = root / "studies/CT-0/study_0003.nii.gz", root / "studies/CT-2/study_0004.nii.gz"
    truncated.write_bytes(truncated.read_bytes()[:100])
    foreign.write_text("not an image")
    mask = read_mask(root / "masks/study_0001_mask.nii.gz")
    write_mask(root / "masks/study_0001_mask.nii.gz", mask.data[1:], mask.affine)
    write_mask(root / "masks/study_0002_mask.nii.gz", np.full(mask.data.shape, 3), mask.affine)
    (root / "studies/CT-1/study_0002.nii.gz").rename(root / "studies/CT-2/study_0002.nii.gz")
    taken = take(root, read_registry(root))
    assert kinds(taken) == [
        ("error", "grid", "study_0001"),
        ("error", "file", "study_0002"),
        ("error", "registry", "study_0002"),
        ("error", "registry", "study_0002"),
        ("error", "file", "study_0003"),
        ("error", "file", "study_0004"),
    ]
    with pytest.raises(UserError) as error:
        refuse_errors(taken.findings, root)
    message = str(error.value)
    for part in (
        "studies/CT-0/study_0003.nii.gz: ",
        "studies/CT-2/study_0004.nii.gz: ",
        "study_0001: masks/study_0001",
    ):
        assert part in message
    assert (
        "CT and mask lie on different grids: shapes" in message
        and "CT-1/study_0002.nii.gz: the registry names" in message
    )
    assert "lies in the folder CT-2, and the registry says CT-1. Move it" in message
    assert "6 errors" in message


def test_a_sound_data_set_has_no_findings_and_is_not_refused(root):
    findings = take(root, read_registry(root), needs_ct=True).findings
    assert findings == [] and findings_frame(findings).empty
    refuse_errors(findings, root)


def test_files_that_were_unpacked_or_renamed_are_those_of_the_registry(root):
    before = take(root, read_registry(root)).table
    ct, mask = root / "studies/CT-1/study_0001.nii.gz", root / "masks/study_0002_mask.nii.gz"
    ct.with_suffix("").write_bytes(gzip.decompress(ct.read_bytes()))
    ct.unlink()
    mask.rename(root / "masks/study_0002_mask.NII.GZ")
    after = take(root, read_registry(root)).table
    assert after.loc[0, "ct"] == "studies/CT-1/study_0001.nii" and after.loc[1, "mask"].endswith("mask.NII.GZ")
    changed = ["ct", "mask", "ct_sha256"]
    pd.testing.assert_frame_equal(after.drop(columns=changed), before.drop(columns=changed))


def test_a_mask_whose_axes_run_the_other_way_is_counted_on_its_ct(root):
    before = take(root).table
    image = nib.load(root / "masks/study_0001_mask.nii.gz")
    turned = image.as_reoriented(np.array([[2, 1], [0, -1], [1, -1]]))
    assert turned.shape != image.shape
    write_mask(root / "masks/study_0001_mask.nii.gz", np.asarray(turned.dataobj), turned.affine)
    after = take(root).table
    pd.testing.assert_frame_equal(after.drop(columns="mask_sha256"), before.drop(columns="mask_sha256"))


def test_masks_that_are_all_empty_are_an_error(root):
    first, second = sorted((root / "masks").glob("*"))
    for path, expected in ((first, []), (second, [("error", "no-lesion", "")])):
        mask = read_mask(path)
        write_mask(path, 0 * mask.data, mask.affine)
        assert [kind for kind in kinds(take(root)) if kind[1] == "no-lesion"] == expected
    second.write_bytes(b"not read, so it may hold a lesion")
    assert {kind for _, kind, _ in kinds(take(root))} == {"empty-mask", "file"}


def test_a_ct_that_claims_more_than_it_holds_is_named(root):
    ct = root / "studies/CT-0/study_0003.nii.gz"
    raw = bytearray(gzip.decompress(ct.read_bytes()))
    raw[42:48] = np.full(3, 32767, "<i2").tobytes()  # dim[1] to dim[3]
    ct.write_bytes(gzip.compress(raw))
    (finding,) = take(root).findings
    assert (finding.severity, finding.file) == ("error", "studies/CT-0/study_0003.nii.gz")
    assert finding.what.startswith("its header claims 32767×32767×32767 voxels")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_the_registry_is_read_as_it_is_shipped(tmp_path, newline, mark):
    rows = ["1,CT-0,/studies/CT-0/study_0001.nii.gz,", "255,CT-1,/studies/CT-1/study_0255.nii.gz,/masks/a_mask.nii.gz"]
    registry = read_registry(registry_csv(tmp_path, *rows, newline=newline, mark=mark))
    assert registry.to_dict("records") == [
        {"study": "study_0001", "category": "CT-0", "ct": "studies/CT-0/study_0001.nii.gz", "mask": ""},
        {
            "study": "study_0255",
            "category": "CT-1",
            "ct": "studies/CT-1/study_0255.nii.gz",
            "mask": "masks/a_mask.nii.gz",
        },
    ]


def test_a_spreadsheet_is_read_like_a_csv(root):
    as_csv = read_registry(root)
    table = pd.read_csv(root / "dataset_registry.csv", encoding="utf-8-sig")
    table.to_excel(root / "dataset_registry.xlsx", index=False)
    (root / "dataset_registry.csv").unlink()
    pd.testing.assert_frame_equal(read_registry(root), as_csv)


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ("7,CT-1,,", "study_0007"),
        ("study_0007,CT-1,,", "study_0007"),
        ("7,CT-1,/studies/CT-1/patient.nii.gz,", "patient"),
        ("7,CT-1,,/masks/patient_mask.nii.gz", "patient"),
        ("7,CT-1,/studies/CT-1/patient.NII.GZ,", "patient"),
        ("7,CT-1,,/masks/patient_mask.nii", "patient"),
    ],
)
def test_a_study_is_called_as_its_files(tmp_path, row, name):
    assert list(read_registry(registry_csv(tmp_path, row))["study"]) == [name]


def test_a_number_is_a_study_of_that_name_where_there_is_one(tmp_path):
    root = registry_csv(tmp_path, "1,CT-1", "002,CT-2", "NA,CT-3", "null,CT-4", header="study_id,category")
    assert list(read_registry(root, {"1", "002"})["study"]) == ["1", "002", "NA", "null"]
    assert list(read_registry(root)["study"]) == ["study_0001", "study_0002", "NA", "null"]


def test_file_columns_may_be_left_out(tmp_path):
    registry = read_registry(registry_csv(tmp_path, "7,CT-1", header="study_id,category"))
    assert registry.to_dict("records") == [{"study": "study_0007", "category": "CT-1", "ct": "", "mask": ""}]


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["7,CT-9,,"], "study_id,category,study_file,mask_file", "study_0007: category 'CT-9'"),
        (["7,,,"], "study_id,category,study_file,mask_file", "study_0007: category ''"),
        (["7,CT-1,,", "7,CT-1,,"], "study_id,category,study_file,mask_file", "study_0007: listed twice"),
        (["7,CT-1"], "study_id,class", "it has study_id, class"),
        ([], "", "study_id and category are needed; it has none"),
    ],
)
def test_a_faulty_registry_is_refused(tmp_path, rows, header, message):
    with pytest.raises(UserError, match=message):
        read_registry(registry_csv(tmp_path, *rows, header=header))


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_a_registry_of_other_bytes_is_refused(tmp_path, suffix):
    (tmp_path / f"dataset_registry{suffix}").write_bytes(b"study_id\xff\xfe\x00" * 9)
    with pytest.raises(UserError, match=f"dataset_registry{suffix} cannot be read"):
        read_registry(tmp_path)


def test_without_a_registry_the_folders_give_the_class(root):
    (root / "dataset_registry.csv").unlink()
    assert read_registry(root) is None
    table = take(root).table
    assert list(table["category"]) == ["CT-1", "CT-1", "CT-0", "CT-2"]


def test_classes_count_the_registry_and_what_it_leaves_out(root):
    registry_csv(root, "1,CT-1,,", "900,CT-1,,", "901,CT-4,/studies/CT-4/study_0901.nii.gz,")
    registry = read_registry(root)
    counts = class_counts(take(root, registry).table, registry)
    assert counts.values.tolist() == [
        ["CT-0", 1, 0, 254],
        ["CT-1", 3, 2, 684],
        ["CT-2", 1, 0, 125],
        ["CT-3", 0, 0, 45],
        ["CT-4", 1, 0, 2],
    ]


def test_masks_without_any_class_are_counted_as_unknown(root):
    (root / "dataset_registry.csv").unlink()
    for path in (root / "studies").glob("*/*"):
        path.unlink()
    counts = class_counts(take(root).table)
    assert counts.iloc[-1].tolist()[:3] == ["unknown", 2, 2]
    assert counts["studies"].sum() == 2


def test_patients_are_a_column_where_they_are_known(root):
    studies = find_studies(DataSet(root))
    known = [studies[0], replace(studies[1], patient="p"), *studies[2:]]
    assert "patient" not in inventory(studies, root).table
    assert inventory(known, root).table["patient"].fillna("").tolist() == ["", "p", "", ""]


def test_a_file_outside_of_the_root_is_named_as_it_is(root, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "mask.nii.gz"
    studies = find_studies(DataSet(root))
    shutil.copy(studies[0].mask, other)
    (row,) = inventory([replace(studies[0], mask=other)], root).table.to_dict("records")
    assert row["mask"] == str(other) and row["ct"].startswith("studies/CT-1/")


def test_categories_of_other_data_sets_are_counted_without_the_papers(root):
    table = inventory(find_studies(DataSet(root)), root).table.assign(category=["sick", "well", "sick", None])
    counts = class_counts(table, None, ["sick", "well"])
    assert counts.columns.tolist() == ["category", "studies", "annotated"]
    assert counts["category"].tolist() == ["sick", "well", "unknown"] and counts["studies"].tolist() == [2, 1, 1]


def volume(root, study):
    path = next((root / "studies").glob(f"*/{study}.nii.gz"))
    return path, read_ct(path)


def test_a_study_that_cannot_be_read_leaves_the_row_of_the_others(root):
    path, _ = volume(root, "study_0003")
    path.write_bytes(b"no image")
    taken = take(root)
    assert list(taken.table["study"]) == ["study_0001", "study_0002", "study_0004"]


def test_masks_without_ct_are_an_error_only_where_a_ct_is_needed(root):
    volume(root, "study_0001")[0].unlink()
    assert kinds(take(root, needs_ct=True)) == [("error", "no-ct", "study_0001")]
    assert kinds(take(root)) == [("warning", "no-ct", "study_0001")]
    volume(root, "study_0002")[0].unlink()
    for path in (root / "studies").glob("*/*"):
        path.unlink()
    (finding,) = take(root).findings
    assert finding.study == "" and finding.what == "none of the 2 masks has a CT"


def test_a_data_set_without_masks_is_an_error(root):
    for path in (root / "masks").iterdir():
        path.unlink()
    assert kinds(take(root)) == [("error", "no-mask", "")]


def test_what_looks_wrong_with_a_scan_is_told_of_its_file(root):
    path, ct = volume(root, "study_0001")
    write_volume(path, ct.data + np.int16(1024), ct.affine)
    path, ct = volume(root, "study_0003")
    data = ct.data.copy()
    data[:4] = -3024
    write_volume(path, data, ct.affine)
    taken = take(root)
    assert kinds(taken) == [("error", "no-hu", "study_0001"), ("warning", "padding", "study_0003")]
    assert [finding.file for finding in taken.findings] == [
        "studies/CT-1/study_0001.nii.gz",
        "studies/CT-0/study_0003.nii.gz",
    ]


def test_what_the_readers_warn_of_is_told_of_its_file_and_not_logged(root, caplog):
    mask = read_mask(root / "masks/study_0001_mask.nii.gz")
    shifted = mask.affine.copy()
    shifted[0, 3] += 0.1
    write_mask(root / "masks/study_0001_mask.nii.gz", mask.data * 255, shifted)
    taken = take(root)
    assert kinds(taken) == [("warning", "grid", "study_0001"), ("warning", "reading", "study_0001")]
    assert "0.1 mm apart" in taken.findings[0].what and "0 and 255" in taken.findings[1].what
    assert {finding.file for finding in taken.findings} == {"masks/study_0001_mask.nii.gz"}
    assert not caplog.records


def test_a_conflict_of_qform_and_sform_is_an_error_and_a_warning_where_one_is_chosen(root):
    path, _ = volume(root, "study_0001")
    image = nib.load(path)
    image.set_qform(image.affine @ np.diag([1, 1, 1.2, 1]), code="scanner")
    image.to_filename(path)
    assert kinds(take(root)) == [("error", "file", "study_0001")]
    assert kinds(take(root, reading=Reading(geometry="sform"))) == [("warning", "reading", "study_0001")]


def test_one_file_under_two_names_is_an_error_and_within_a_patient_a_warning(root):
    shutil.copy(root / "studies/CT-1/study_0001.nii.gz", root / "studies/CT-1/study_0009.nii.gz")
    shutil.copy(root / "masks/study_0001_mask.nii.gz", root / "masks/study_0009_mask.nii.gz")
    taken = take(root)
    assert kinds(taken) == [("error", "same-scan", "study_0009")]
    assert "same file as that of study_0001" in taken.findings[0].what
    studies = [replace(study, patient="a") for study in find_studies(DataSet(root))]
    assert kinds(inventory(studies, root)) == [("warning", "same-scan", "study_0009")]


def test_one_scan_in_two_files_is_found_by_its_looks(root):
    _, ct = volume(root, "study_0001")
    packed = root / "studies/CT-1/study_0009.nii"
    write_volume(packed, ct.data, ct.affine)
    assert kinds(take(root)) == [("error", "same-scan", "study_0009")]
    noise = np.random.default_rng(0).normal(0, 20, ct.data.shape)
    write_volume(packed, (ct.data + noise).astype(np.int16), ct.affine)
    taken = take(root)
    assert kinds(taken) == [("warning", "same-scan", "study_0009")]
    assert "looks like the same scan as that of study_0001" in taken.findings[0].what


def test_one_mask_for_two_scans_is_told_and_empty_masks_are_alike(root):
    shutil.copy(root / "masks/study_0001_mask.nii.gz", root / "masks/study_0002_mask.nii.gz")
    _, ct = volume(root, "study_0001")
    path, other = volume(root, "study_0002")
    write_volume(path, np.resize(other.data, ct.data.shape), ct.affine)
    assert ("warning", "same-mask", "study_0002") in kinds(take(root))
    for study in ("study_0001", "study_0002"):
        write_mask(root / f"masks/{study}_mask.nii.gz", np.zeros(ct.data.shape), ct.affine)
    assert {kind for _, kind, _ in kinds(take(root))} == {"empty-mask", "no-lesion"}


def test_names_of_one_patients_scans_are_told_unless_the_patient_is_known(root):
    studies = [replace(study, name=f"29_8649{number}_1") for number, study in enumerate(find_studies(DataSet(root)))]
    studies[3] = replace(studies[3], name="40_86625_0")
    (finding,) = inventory(studies, root).findings
    assert (finding.severity, finding.kind) == ("warning", "same-patient")
    assert "29_86490_1, 29_86491_1 and 29_86492_1 may be scans of one patient" in finding.what
    assert inventory([replace(study, patient=study.name) for study in studies], root).findings == []
