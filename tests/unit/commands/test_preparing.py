"""`lesionbench init`, `phantom` and `unstack` write data sets and say what comes next."""

import pytest

from lesionbench.cli import main


def test_phantoms_of_a_layout_are_written_and_recognised(tmp_path, capsys):
    folder = tmp_path / "new"
    assert main(["phantom", str(folder), "--layout", "patients", "--size", "16"]) == 0
    assert f"lesionbench init {folder}" in capsys.readouterr().out
    assert main(["init", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("# Layout: patients (A folder a patient")


def test_a_stack_is_taken_apart(tmp_path, capsys):
    assert main(["phantom", str(tmp_path / "stack"), "--layout", "medseg-slices", "--size", "16"]) == 0
    assert main(["init", str(tmp_path / "stack")]) == 1
    assert "lesionbench unstack" in capsys.readouterr().err
    files = [str(tmp_path / "stack" / f"tr_{kind}.nii.gz") for kind in ("im", "mask")]
    assert main(["unstack", *files, str(tmp_path / "slices")]) == 0
    assert "6 studies, one a slice" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["init", "none"], "none: there is no such folder"),
        (["phantom", "new", "--layout", "nnU"], "nnU: no such layout"),
        (["phantom", "new", "--layout", "msd", "--size", "8"], "--size 8"),
        (["phantom", "file/new", "--layout", "msd"], "file/new cannot be written"),
    ],
)
def test_a_mistake_with_data_is_one_message(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("lesionbench: ") and said in error
