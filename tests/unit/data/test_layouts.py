import pytest
import yaml

from checkout import merged
from lesionbench.data.layouts import CHECKOUT, PRESETS, propose_config, read_layouts, recognise
from lesionbench.data.studies import DataSet, find_studies
from lesionbench.errors import UserError
from lesionbench.experiment.config import resolve_config
from touched import touch

# Names of files as they are published; those of macOS lie among them.
PUBLISHED = {
    "mosmed": ["studies/CT-1/study_0255.nii.gz", "studies/CT-0/study_0001.nii.gz", "masks/study_0255_mask.nii.gz"],
    "nnunet": ["imagesTr/case_1_0000.nii.gz", "labelsTr/case_1.nii.gz", "dataset.json"],
    "msd": ["imagesTr/lung_001.nii.gz", "imagesTr/._lung_001.nii.gz", "labelsTr/lung_001.nii.gz", "imagesTs/l.nii.gz"],
    "covid-19-20": ["volume-covid19-A-0003_ct.nii.gz", "volume-covid19-A-0003_seg.nii.gz", ".DS_Store"],
    "ma": ["COVID-19-CT-Seg_20cases/radiopaedia_10_85902_1.nii.gz", "Infection_Mask/radiopaedia_10_85902_1.nii.gz"],
    "ma-lung": ["COVID-19-CT-Seg_20cases/coronacases_001.nii.gz", "Lung_and_Infection_Mask/coronacases_001.nii.gz"],
    "medseg": ["rp_im/1.nii.gz", "rp_im/2.nii.gz", "rp_msk/1.nii.gz"],
    "medseg-slices": ["ct/tr_im_001.nii.gz", "masks/tr_im_001.nii.gz"],
    "covid-ct-md": ["COVID-19 subjects/P001/IM0002.dcm", "Normal subjects/normal001/IM0001.dcm"],
    "ricord": ["MIDRC-RICORD-1A/P-82/08-02-2002-NA-CT-04614/3.0-CHEST-97100/1-001.dcm"],
    "patients": ["p1/2020-03-01/ct.nii.gz", "p1/2020-03-01/mask.nii.gz", "p1/2020-03-15/ct.nii.gz"],
}  # fmt: skip
LAYOUTS = read_layouts()


def kaggle(root):
    lines = (PRESETS / "kaggle.csv").read_text().splitlines()[1:]
    touch(root, *(name for line in lines for name in line.split(",")[1:3]))


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_is_recognised_by_its_published_names(tmp_path, name):
    kaggle(tmp_path) if name == "kaggle" else touch(tmp_path, *PUBLISHED[name])
    layout, studies = recognise(tmp_path)[0]
    assert layout.name == name and studies
    assert any(study.mask for study in studies) or name in ("covid-ct-md", "ricord")


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_init_prints_is_a_configuration_that_finds_the_studies(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    kaggle(tmp_path / "data") if name == "kaggle" else touch(tmp_path / "data", *PUBLISHED[name])
    text = propose_config("data")
    assert text.startswith(f"# Layout: {name} ({LAYOUTS[name].title})")
    config = yaml.safe_load((CHECKOUT / "config.yaml").read_text())
    settings = resolve_config(merged(config, yaml.safe_load(text)))["dataset"]
    assert find_studies(DataSet.of(settings)) == recognise("data")[0][1]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_preset_is_an_overlay_of_a_few_lines(name):
    config = yaml.safe_load((CHECKOUT / "config.yaml").read_text())
    resolve_config(merged(config, LAYOUTS[name].config))
    assert len(LAYOUTS[name].config["dataset"]) <= 6


def test_the_page_on_data_shows_the_lines_of_every_preset():
    page = (CHECKOUT / "docs" / "data.md").read_text()
    assert [
        name for name in LAYOUTS if "\n".join((PRESETS / f"{name}.yaml").read_text().splitlines()[2:]) not in page
    ] == []


def test_scans_of_one_patient_are_known_where_only_their_names_tell(tmp_path):
    kaggle(tmp_path)
    ((layout, studies),) = recognise(tmp_path)
    patients = {study.name: study.patient for study in studies}
    assert layout.name == "kaggle" and len(patients) == 20 and len(set(patients.values())) == 18
    assert patients["radiopaedia_29_86490_1"] == patients["radiopaedia_29_86491_1"] == "radiopaedia_29"


def test_a_folder_of_another_layout_gets_patterns_from_its_files(tmp_path):
    touch(tmp_path, *(f"scans/{name}-ct.nrrd" for name in "abc"), "scans/a-lesion.nrrd")
    text = propose_config(tmp_path)
    assert text.startswith("# Layout: none that is known")
    assert "# 3 studies: 3 with a CT, 1 with a mask, 1 with both\n" in text
    assert yaml.safe_load(text) == {
        "dataset": {"root": str(tmp_path), "ct": "scans/{study}-ct.nrrd", "mask": "scans/{study}-lesion.nrrd"},
        "reference_results": None,
    }


def test_counts_stand_before_the_lines(tmp_path):
    touch(tmp_path, *PUBLISHED["patients"])
    assert propose_config(tmp_path).splitlines()[1:3] == [
        "# 2 studies: 2 with a CT, 1 with a mask, 1 with both",
        "# 1 patient",
    ]
    touch(tmp_path / "md", *PUBLISHED["covid-ct-md"])
    text = propose_config(tmp_path / "md")
    assert "# categories: COVID-19 subjects, Normal subjects\n# Without masks nothing" in text


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "no CT that can be read"),
        (["tr_im.nii.gz", "tr_mask.nii.gz"], r"slices of many patients.*\n  lesionbench unstack .*tr_im\.nii\.gz"),
    ],
)
def test_a_folder_without_studies_is_told_what_to_do(tmp_path, files, said):
    touch(tmp_path, *files)
    with pytest.raises(UserError, match=f"(?s){said}"):
        propose_config(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        propose_config(tmp_path / "none")
