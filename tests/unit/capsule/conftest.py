"""Results that all tests of capsules share; they are not changed."""

import pytest

from capsuled import make_results
from lesionbench.capsule.export import export


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Finished results, the data that they are of, and their capsule."""
    made = make_results(tmp_path_factory.mktemp("results"))
    made.capsule = made.folder / "capsule.zip"
    export(made.results, made.capsule)
    return made
