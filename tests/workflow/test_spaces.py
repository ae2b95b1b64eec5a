"""A checkout in a folder whose name a shell would take apart, with its virtual environment inside."""

import sysconfig
import venv
from dataclasses import replace

import pytest

from checkout import copy_checkout


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    folder = tmp_path_factory.mktemp("spaces") / "My Project (1)"
    checkout = copy_checkout(repository, folder)
    venv.create(folder / ".venv", symlinks=True)
    site_packages = next((folder / ".venv" / "lib").glob("python*")) / "site-packages"
    (site_packages / "installed.pth").write_text(sysconfig.get_path("purelib"))
    return replace(checkout, python=str(folder / ".venv" / "bin" / "python"))


def test_jobs_run_with_the_environments_own_python(checkout):
    checkout.snakemake("results/tiny/splits/fold-0.csv", "results/tiny/dataset/studies.csv")
    assert (checkout.folder / "results" / "tiny" / "splits" / "fold-0.csv").is_file()
    assert (checkout.folder / "results" / "tiny" / "dataset" / "studies.csv").is_file()
