"""The notebook of the documentation, cell by cell, on what the tiny experiment has made."""

import matplotlib
import nbformat
import pytest

from checkout import TINY

NAMES = {'"results/demo"': f'"{TINY["pathvars"]["results"]}"', '"unet_mobilenet_v2"': '"mobile"'}


@pytest.fixture
def cells(repository):
    notebook = nbformat.read(repository / "docs" / "notebooks" / "segment.ipynb", as_version=4)
    nbformat.validate(notebook)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_each_cell_runs(cells, finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    matplotlib.use("agg")
    names = {}
    for cell in cells:
        source = cell.source
        for old, new in NAMES.items():
            source = source.replace(old, new)
        exec(compile(source, "segment.ipynb", "exec"), names)
    assert names["found"].mask.shape == names["reference"].shape
    assert len(names["axes"].images) == 1 and (finished.folder / f"{names['study']}_lesion.nii.gz").is_file()
    (finished.folder / f"{names['study']}_lesion.nii.gz").unlink()


def test_the_notebook_is_kept_without_outputs(cells):
    assert not any(cell.outputs or cell.execution_count for cell in cells)
