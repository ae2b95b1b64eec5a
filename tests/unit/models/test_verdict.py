import json

import pytest

from lesionbench.errors import UserError
from lesionbench.models.verdict import pass_on


def test_a_model_that_passed_gets_a_file_of_its_own_and_one_that_failed_its_error(tmp_path):
    trials = tmp_path / "models.json"
    trials.write_text(json.dumps({"good": {"stride": 16}, "bad": {"error": "models.bad: no."}}))
    pass_on(trials, "good", tmp_path / "good.json")
    assert json.loads((tmp_path / "good.json").read_text()) == {"stride": 16}
    with pytest.raises(UserError, match=r"^models\.bad: no\.$"):
        pass_on(trials, "bad", tmp_path / "bad.json")
    assert not (tmp_path / "bad.json").exists()
