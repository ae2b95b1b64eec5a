"""Results on a disk that fills up, goes read-only, or vanishes: a sentence, and the same command goes on."""

import os
import shutil
import subprocess

import pytest

from checkout import copy_checkout, merged
from faulted import config, contents

SHORT = int(os.environ.get("LESIONBENCH_FAULTS", "3")) <= 3
SMALLEST, FACTOR = (256, 4) if SHORT else (64, 1.3)  # kB, and by how much the disk grows


def mount(folder, options):
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")


@pytest.fixture(scope="module")
def checkout(repository, tmp_path_factory):
    checkout = copy_checkout(repository, tmp_path_factory.mktemp("disk"))
    checkout.snakemake(config=config("undisturbed"))
    return checkout


@pytest.fixture
def disk(checkout, request):
    """A small disk on which results and logs lie."""
    folder = checkout.folder / "small"
    folder.mkdir(exist_ok=True)
    mount(folder, f"size={SMALLEST}k")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def on_disk(folder):
    return merged(config("disk"), {"pathvars": {"results": f"{folder}/disk", "logs": f"{folder}/logs"}})


def test_a_disk_that_is_full_at_every_stage(checkout, disk):
    size, sentences = SMALLEST, []
    while True:
        output = checkout.snakemake(config=on_disk(disk), check=False)
        if "100%) done" in output or size > 2**20:
            break
        last = output.partition("At least one job did not complete successfully.")[2]
        assert "No space left on device" in last and "ake room" in last, output[-3000:]
        assert "Traceback" not in output, output[-5000:]
        assert not [path for path in disk.rglob(".*") if path.is_file() and path.name != ".snakemake_timestamp"]
        sentences.append(last)
        size = int(size * FACTOR)
        subprocess.run(["mount", "-o", f"remount,size={size}k", str(disk)], check=True)
    assert "100%) done" in output and len(sentences) >= 2
    print(f"full at {len(sentences)} sizes up to {size} kB")
    (checkout.folder / "results" / "disk").symlink_to(disk / "disk")
    found, undisturbed = contents(checkout, "disk/"), contents(checkout, "undisturbed")
    assert sorted(found) == sorted(undisturbed)
    weights = "models/small/fold-0/seed-0/weights.safetensors"
    assert found[weights] == undisturbed[weights]


def test_a_folder_of_results_that_is_read_only(checkout, disk):
    target, name = f"{disk}/disk/splits/fold-0.csv", on_disk(disk)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    output = checkout.snakemake(target, config=name, check=False)
    assert "Read-only file system" in output and "Traceback" not in output, output[-3000:]
    subprocess.run(["mount", "-o", "remount,rw,size=1g", str(disk)], check=True)
    assert "100%) done" in checkout.snakemake(target, config=name)


def test_results_that_vanish_are_made_again(checkout):
    target, name = "results/vanished/splits/fold-0.csv", config("vanished")
    checkout.snakemake(target, config=name)
    shutil.rmtree(checkout.folder / "results" / "vanished")
    assert "100%) done" in checkout.snakemake(target, config=name)
