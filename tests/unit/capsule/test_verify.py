"""A capsule is believed in nothing: whatever was changed in it is found, with its hash or without."""

import json
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from lesionbench.capsule.archive import MANIFEST, unpack, write_archive
from lesionbench.capsule.verify import verify
from lesionbench.errors import UserError

STUDIES = "metrics/near/fold-0/seed-0/studies.csv"


@pytest.fixture
def forge(made, tmp_path):
    """A function that lets `change` work on the results of a capsule, and packs them with new hashes."""

    def pack(change, roots=()):
        folder = tmp_path / "forged"
        assert unpack(made.capsule, folder) == []
        change(folder / "results")
        files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
        files.pop(MANIFEST)
        write_archive(tmp_path / "forged.zip", files)
        return verify(tmp_path / "forged.zip", {name: made.roots[name] for name in roots})

    return pack


def first_cell(path, column, value):
    """Set a column of the first row of a table."""
    header, first, *rest = path.read_text().splitlines()
    cells = first.split(",")
    cells[header.split(",").index(column)] = value
    path.write_text("\n".join([header, ",".join(cells), *rest]) + "\n")


def places(verdict):
    return {(difference.file, difference.column) for difference in verdict.differences}


def test_all_numbers_of_an_honest_capsule_are_reproduced(made):
    without = verify(made.capsule, {})
    assert without.differences == [] and without.numbers > 500
    assert sum("reference masks" in text for text in without.unchecked) == 2
    whole = verify(made.capsule, made.roots)
    assert whole.differences == [] and whole.numbers > without.numbers
    assert not any("reference masks" in text or "tables that" in text for text in whole.unchecked)


def test_a_changed_file_is_found_by_its_hash(made, tmp_path):
    path = tmp_path / "changed.zip"
    with zipfile.ZipFile(made.capsule) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b" " if name == "results/summary.html" else b""))
    [found] = verify(path, {}).differences
    assert str(found) == f"results/summary.html: its SHA-256 is not the one in {MANIFEST}, so the file was changed"


def test_a_forged_score_is_found_by_the_slices_and_the_tables(forge):
    found = places(forge(lambda results: first_cell(results / STUDIES, "dice", "0.99")))
    assert {(STUDIES, "dice"), ("tables/per_study.csv", "near"), ("tables/comparison.csv", "mean_dice")} <= found


def test_a_forged_distance_is_found_with_the_data_set(forge):
    assert (STUDIES, "hd95_mm") in places(forge(lambda results: first_cell(results / STUDIES, "hd95_mm", "1.0"), [""]))


def test_a_forged_score_of_an_external_set_is_found(forge):
    inside = f"external/other/{STUDIES}"
    found = places(forge(lambda results: first_cell(results / inside, "surface_dice", "0.5"), ["other"]))
    assert (inside, "surface_dice") in found and ("external/other/tables/metrics.csv", "surface_dice") in found


def test_a_forged_mask_is_found_without_the_data_set(forge):
    def change(results):
        path = next((results / "predictions" / "near" / "fold-0" / "seed-0").glob("*.nii.gz"))
        mask = np.zeros((12, 10, 6), np.uint8)
        mask[:2] = 1
        nib.save(nib.Nifti1Image(mask, nib.load(path).affine), path)

    assert (STUDIES.replace("studies", "slices"), "predicted_voxels") in places(forge(change))


@pytest.mark.parametrize("suffix", ["csv", "md", "tex", "html"])
def test_a_forged_table_is_found_in_every_format(forge, suffix):
    name = f"tables/comparison.{suffix}"

    def change(results):
        text = (results / name).read_text()
        place = text.rindex("0.")
        (results / name).write_text(text[:place] + "9" + text[place:])

    assert {file for file, _ in places(forge(change))} == {name}


def test_a_forged_comparison_is_found(forge):
    def change(results):
        content = json.loads((results / "comparison.json").read_text())
        content["sample"]["coverage"] = 0.99
        (results / "comparison.json").write_text(json.dumps(content))

    [found] = forge(change).differences
    assert (found.file, found.row, found.given) == ("comparison.json", "sample.coverage", "0.99")


def test_a_forged_split_is_found(forge):
    def change(results):
        path = results / "splits" / "fold-1.csv"
        path.write_text(path.read_text().replace("validation", "train"))

    assert ("splits/fold-1.csv", "subset") in places(forge(change))


def test_a_forged_configuration_is_found_by_what_follows_from_it(forge):
    def change(results):
        path = results / "config.json"
        content = json.loads(path.read_text())
        content["config"]["split"]["seed"] = 5
        path.write_text(json.dumps(content))

    assert any(file.startswith("splits/") for file, _ in places(forge(change)))


def test_a_study_that_was_left_out_is_found(forge):
    def change(results):
        path = results / STUDIES
        path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")

    assert any(difference.file == STUDIES and "rows" in difference.given for difference in forge(change).differences)


def test_another_data_set_than_that_of_the_scores_is_found(made, tmp_path):
    verdict = verify(made.capsule, {"": tmp_path})
    assert {difference.column for difference in verdict.differences} == {"ct_sha256", "mask_sha256"}
    assert all("not there below" in difference.computed for difference in verdict.differences)


def test_an_inventory_that_leads_outside_the_data_set_is_not_followed(forge):
    def change(results):
        first_cell(results / "dataset" / "studies.csv", "mask", "../../../../../../etc/passwd")

    found = [difference for difference in forge(change, [""]).differences if difference.column == "mask_sha256"]
    assert [difference.computed.split(" ")[0] for difference in found] == ["outside"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "{}"),
        ("dataset/studies.csv", "nonsense\n"),
        (STUDIES, ""),
        (STUDIES, "study,dice\nx,y\n"),
        ("comparison.json", "[]"),
        ("tables/metrics.csv", "\0"),
    ],
)
def test_nonsense_is_a_difference_and_no_traceback(forge, name, content):
    assert forge(lambda results: (results / name).write_text(content)).differences


def test_a_set_that_is_not_in_the_capsule_is_named(made):
    assert "no such set" in str(verify(made.capsule, {"else": Path()}).differences[0])


def test_what_is_no_capsule_is_refused(tmp_path):
    (tmp_path / "a.zip").write_text("no zip")
    with pytest.raises(UserError, match="cannot be read as a capsule"):
        verify(tmp_path / "a.zip", {})
