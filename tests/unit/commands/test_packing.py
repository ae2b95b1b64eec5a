"""`lesionbench export` and `verify` tell of mistakes in a sentence; their work is tested with capsules."""

import pytest

from lesionbench.cli import main


def test_results_that_are_none_cannot_be_packed(tmp_path, capsys):
    assert main(["export", str(tmp_path), str(tmp_path / "capsule.zip")]) == 1
    assert str(tmp_path) in capsys.readouterr().err and not (tmp_path / "capsule.zip").exists()


def test_what_is_no_capsule_is_a_wrong_call(tmp_path, capsys):
    (tmp_path / "capsule.zip").write_text("no zip")
    assert main(["verify", str(tmp_path / "capsule.zip")]) == 2
    assert "capsule.zip" in capsys.readouterr().err


def test_a_data_set_that_is_not_there_is_a_wrong_call(tmp_path, capsys):
    assert main(["verify", str(tmp_path / "capsule.zip"), "--dataset", str(tmp_path / "none")]) == 2
    assert "--dataset: there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("given", ["out", "=folder", "out="])
def test_an_external_set_needs_its_name_and_its_folder(given, capsys):
    with pytest.raises(SystemExit):
        main(["verify", "capsule.zip", "--external", given])
    assert f"{given} is no NAME=ROOT" in capsys.readouterr().err
