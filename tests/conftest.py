"""What the tests share: where the real data lies, and one thread for each process."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from checkout import Checkout, copy_checkout

# A fresh profile that asks the network for nothing by itself.
QUIET = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]
REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared"


def _folder(variable: str, default: Path) -> Path:
    path = Path(os.environ.get(variable, default))
    if not path.exists():
        pytest.skip(f"{path} is not here; set {variable} to where it is")
    return path


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of the real test data: covid-ct-20 and mosmed-masks."""
    return _folder("LESIONBENCH_TEST_DATA", SHARED / "data")


@pytest.fixture(scope="session")
def test_weights() -> Path:
    """A real ImageNet encoder (MobileNetV2) in segmentation-models-pytorch's layout."""
    return _folder("LESIONBENCH_TEST_WEIGHTS", SHARED / "weights" / "mobilenet_v2.safetensors")


@pytest.fixture(scope="session")
def finished(repository, tmp_path_factory) -> Checkout:
    """A checkout in which the tiny experiment has run to its end. Tests only look at it, or undo what they change."""
    checkout = copy_checkout(repository, tmp_path_factory.mktemp("finished"))
    checkout.snakemake()
    return checkout


@pytest.fixture(scope="module")  # its event loop must not be there where Snakemake starts its own
def browse() -> Iterator[Callable[[list[str]], Any]]:
    """A function that starts a browser with some arguments; all are closed at the end."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with playwright.sync_playwright() as running:
        browsers = []

        def start(arguments: list[str]) -> Any:
            browsers.append(running.chromium.launch(executable_path=chromium, args=[*QUIET, *arguments]))
            return browsers[-1]

        yield start
        for browser in browsers:
            browser.close()
