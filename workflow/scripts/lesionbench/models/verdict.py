"""Whether a model passed its trial (`trial.write_trials`). Needs nothing but the standard library."""

import json
from pathlib import Path

from lesionbench.errors import UserError
from lesionbench.files import write_json


def pass_on(trials: str | Path, model: str, path: str | Path) -> None:
    """Write what a trial found of a model to a file of its own. Raises UserError where the model failed."""
    outcome = json.loads(Path(trials).read_text(encoding="utf-8"))[model]
    if "error" in outcome:
        raise UserError(outcome["error"])
    write_json(path, outcome)
