"""What the schema says of each key, `x-reruns`, by a dry run after a finished run with another value of that key."""

import re
import shutil
from fnmatch import filter as matching
from functools import reduce
from operator import getitem

import pytest
import yaml
from docs.make_config import leaves
from jsonschema import Draft202012Validator

from checkout import TINY, Checkout, merged
from lesionbench.data.phantom import write_phantom
from lesionbench.data.studies import Phantom
from lesionbench.experiment.config import read_schema

# The tiny experiment with an external set and two external methods.
EXTERNAL = {
    "external": {"other": {"root": "other", "ct": "scans/{study}.nii.gz", "mask": "masks/{study}.nii.gz"}},
    "models": {"shipped": {"method": "empty"}, "own": {"command": "python own.py", "gpu": True}},
    "compare": ["small", "mobile", "shipped", "own"],
}

# Where twice or half the value, or another of those listed, would not do.
CHANGES = {
    "seeds": {"seeds": [0, 1]},
    "notify": {"notify": "mail -s lesionbench me@example.org"},
    "compare": {
        "models": {"new": {**TINY["models"]["small"], "label": "New"}},
        "compare": ["small", "mobile", "new"],
    },
    "reference_results": {"reference_results": "reference.csv"},
    "dataset.label": {"dataset": {"label": "Our scans"}},
    "dataset.phantom": {"dataset": {"phantom": {"annotated": 4}}},
    "dataset.phantom.annotated": {"dataset": {"phantom": {"annotated": 4}}},
    "dataset.phantom.slices": {"dataset": {"phantom": {"slices": [6, 9]}}},
    "dataset.lesion_labels": {"dataset": {"lesion_labels": [1, 2]}},
    "dataset.intensity": {"dataset": {"intensity": {"window": [-500, 1500]}}},
    "dataset.intensity.window": {"dataset": {"intensity": {"window": [-500, 1500]}}},
    "dataset.geometry": {"dataset": {"geometry": "sform"}},
    "dataset.series": {"dataset": {"series": "Lung*"}},
    "preprocessing.hu_window": {"preprocessing": {"hu_window": [-900, 900]}},
    "preprocessing.spacing": {"preprocessing": {"spacing": [1.5, 1.5]}},
    "preprocessing.size": {"preprocessing": {"size": [48, 48]}},
    "split.ratio": {"split": {"ratio": [1, 1, 3]}},
    "split.folds": {"split": {"protocol": "cross-validation", "folds": 3}},
    "split.file": {"split": {"file": "split.csv"}},
    "evaluation.threshold": {"evaluation": {"threshold": 0.4}},
    "evaluation.min_component_mm3": {"evaluation": {"min_component_mm3": 20}},
    "training.gradient_clipping": {"training": {"gradient_clipping": 12}},
    "training.warmup_epochs": {"training": {"warmup_epochs": 1, "max_epochs": 2}},
    "training.device": {"training": {"device": "auto"}},
    "training.log": {"training": {"log": "tensorboard"}},
    "models.NAME.label": {"models": {"small": {"label": "Other"}}},
    "models.NAME.architecture": {"models": {"mobile": {"architecture": "FPN"}}},
    "models.NAME.encoder": {"models": {"mobile": {"encoder": "resnet18"}}},
    "models.NAME.encoder_weights": {"models": {"mobile": {"encoder_weights": "weights.safetensors"}}},
    "models.NAME.options": {"models": {"small": {"options": {"width": 8}}, "own": {"options": {"epochs": 3}}}},
    "models.NAME.method": {"models": {"shipped": {"method": "threshold"}}},
    "models.NAME.command": {"models": {"own": {"command": "python own.py --fast"}}},
    "models.NAME.seeded": {"models": {"own": {"seeded": False}}},
    "models.NAME.gpu": {"models": {"own": {"gpu": False}}},
    "models.NAME.training": {"models": {"small": {"training": {"batch_size": 4}}}},
    "models.NAME.preprocessing": {"models": {"small": {"preprocessing": {"plane": "coronal"}}}},
    "models.NAME.sweep": {"models": {"small": {"sweep": {"options.width": [4, 8]}}}},
    "models.NAME.evaluation.mirroring": {"models": {"small": {"evaluation": {"mirroring": True}}}},
    "models.NAME.evaluation.precision": {"models": {"small": {"evaluation": {"precision": "bfloat16"}}}},
    "models.NAME.evaluation.threshold": {"models": {"small": {"evaluation": {"threshold": 0.4}}}},
    "models.NAME.evaluation.min_component_mm3": {"models": {"small": {"evaluation": {"min_component_mm3": 20}}}},
    "external.NAME.label": {"external": {"other": {"label": "Other"}}},
    "external.NAME.root": {"external": {"other": {"root": "copy"}}},
    "external.NAME.ct": {"external": {"other": {"ct": "scans-2/{study}.nii.gz"}}},
    "external.NAME.mask": {"external": {"other": {"mask": "masks-2/{study}.nii.gz"}}},
    "external.NAME.table": {"external": {"other": {"table": "other.csv"}}},
    "external.NAME.lesion_labels": {"external": {"other": {"lesion_labels": [1, 2]}}},
    "external.NAME.intensity": {"external": {"other": {"intensity": {"window": [-500, 1500]}}}},
    "external.NAME.geometry": {"external": {"other": {"geometry": "sform"}}},
    "external.NAME.series": {"external": {"other": {"series": "Lung*"}}},
    "external.NAME.same_names": {"external": {"other": {"same_names": True}}},
    "segment.scans": {"segment": {"scans": "other/scans"}},
    "segment.models": {"segment": {"models": ["small"]}},
    "figures.slices": {"figures": {"slices": [{"study": "study_0004", "slice": 2}]}},
    "figures.formats": {"figures": {"formats": ["png", "svg"]}},
}
# Rules of results that are due only after a change.
DUE_THEN = {
    "evaluation.probabilities": {"find_lung_boxes", "calibrate", "compare_calibration"},
    "segment.scans": {"find_lungs", "segment_scans", "gather_scans"},
}
# Of these the tiny experiment has nothing: another data set, fetched weights, masks from elsewhere (test_external.py),
# ensembles (test_ensembles.py).
ABSENT = {f"dataset.{key}" for key in ("root", "ct", "mask", "table")} | {
    "pathvars.resources", "models.NAME.predictions", "models.NAME.external_predictions", "models.NAME.members",
}  # fmt: skip
RERUNS = {path: rule for path, rule in leaves(read_schema()) if path not in ABSENT}


def write_external(root):
    """Write an external set of two studies, with its scans, its masks and a copy of each."""
    write_phantom(root / "phantom", Phantom(studies=3, annotated=3, size=32, slices=(6, 6), seed=1))
    for kind, pattern in (("scans", "studies/*/*.nii.gz"), ("masks", "masks/*.nii.gz")):
        (root / kind).mkdir()
        for number, path in enumerate(sorted((root / "phantom").glob(pattern))[:2]):
            path.rename(root / kind / f"other_{number}.nii.gz")
        shutil.copytree(root / kind, root / f"{kind}-2")
    shutil.rmtree(root / "phantom")


@pytest.fixture(scope="module")
def checkout(finished, tmp_path_factory):
    """The finished experiment, tested on an external set too, with the files that some of the changes name."""
    folder = tmp_path_factory.mktemp("external") / "checkout"
    shutil.copytree(finished.folder, folder)
    (folder / "reference.csv").write_text("model,mean_dice,max_dice\nsmall,0.5,0.6\n")
    (folder / "weights.safetensors").touch()
    given = {"train": "123", "validation": "4", "test": "5"}
    rows = [f"study_000{number},{subset}" for subset, numbers in given.items() for number in numbers]
    (folder / "split.csv").write_text("\n".join(["study,subset", *rows, ""]))
    shutil.copyfile(folder / "workflow" / "methods" / "empty" / "run.py", folder / "own.py")
    write_external(folder / "other")
    shutil.copytree(folder / "other", folder / "copy")
    rows = [f"other_{number},scans-2/other_{number}.nii.gz,masks-2/other_{number}.nii.gz" for number in "01"]
    (folder / "other.csv").write_text("\n".join(["study,ct,mask", *rows, ""]))
    checkout = Checkout(folder)
    checkout.snakemake(config=EXTERNAL)
    return checkout


@pytest.fixture(scope="module")
def users(checkout):
    """Pairs of rules of which the second uses the results of the first."""
    graph = checkout.snakemake("--rulegraph", "--forceall", config=EXTERNAL)
    names = dict(re.findall(r'(\d+)\[label = "(\w+)"', graph))
    pairs = {(names[first], names[second]) for first, second in re.findall(r"(\d+) -> (\d+)", graph)}
    assert ("train", "predict") in pairs
    return {pair for pair in pairs if pair[1] != "all"}


def with_followers(rules, users):
    """The rules that match, and all that use their results, at any distance."""
    known = {rule for pair in users for rule in pair}
    found = {rule for pattern in rules for rule in matching(known, pattern)}
    while more := {user for made, user in users if made in found} - found:
        found |= more
    return found


def another_value(path, rule, settings):
    """An overlay in which a key has another value than in the settings."""
    *sections, key = path.split(".")
    value = reduce(getitem, sections, settings).get(key, rule.get("default"))
    others = {
        "boolean": lambda: [not value],
        "string": lambda: [f"{value}-2"],
        "integer": lambda: [value + 1],
        "number": lambda: [value * 2, value / 2, 0.5],
    }
    listed = rule["enum"] if "enum" in rule else others[rule["type"]]()
    other = next(other for other in listed if other != value and Draft202012Validator(rule).is_valid(other))
    return reduce(lambda inner, section: {section: inner}, reversed(sections), {key: other})


@pytest.mark.parametrize("path", RERUNS)
def test_a_key_reruns_what_the_schema_says_and_what_follows(checkout, users, path):
    settings = merged(yaml.safe_load((checkout.folder / "config.yaml").read_text()), merged(TINY, EXTERNAL))
    change = CHANGES.get(path) or another_value(path, RERUNS[path], settings)
    hidden = ("figures.", "notify", "pathvars.", "segment.", "training.log")
    shown = set() if path.startswith(hidden) else {"summary"}
    expected = with_followers(RERUNS[path]["x-reruns"], users) | shown | DUE_THEN.get(path, set())
    assert set(checkout.would_run(**merged(EXTERNAL, change))) == expected
