"""Damaged and hostile files in short: `make fuzz` does it for an hour. And what it has found once."""

import pytest
from fuzz.cases import Outcome, run_case
from fuzz.targets import TARGETS

from lesionbench.errors import UserError

CASES = 8  # of each target
SLOW = {"commands": 2, "encoder": 2}


@pytest.mark.parametrize("target", TARGETS)
def test_good_files_are_read(target, tmp_path):
    folder = tmp_path / "given"
    folder.mkdir()
    TARGETS[target].make(folder)
    read = 0
    for reader in TARGETS[target].readers(folder):
        try:
            reader()
            read += 1
        except UserError as error:  # a scan is no mask
            assert "mask" in str(error), error
    assert read


@pytest.mark.parametrize("target", TARGETS)
def test_damaged_files_are_read_or_refused(target):
    outcomes = [run_case(target, 0, number) for number in range(SLOW.get(target, CASES))]
    assert [outcome for outcome in outcomes if outcome.is_finding] == []


def test_the_same_seed_and_number_are_the_same_case():
    one, other = (run_case("record", 1, 3) for _ in range(2))
    assert one.kind == other.kind


def test_what_neither_reads_nor_refuses_is_told():
    assert [Outcome("a", 0, kind).is_finding for kind in ("read", "refused", "traceback", "memory", "crash")] == [
        *(False, False),
        *(True, True, True),
    ]
