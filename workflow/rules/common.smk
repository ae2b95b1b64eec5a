import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# Parsing and jobs alike use this checkout's library, whatever is installed.
SCRIPTS = str(Path(workflow.basedir, "workflow", "scripts"))
sys.path.insert(0, SCRIPTS)
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [SCRIPTS, os.environ.get("PYTHONPATH")])
)

from lesionbench.errors import UserError
from lesionbench.experiment import plan_experiment, read_reference_results
from lesionbench.provenance import code_digest

try:
    experiment = plan_experiment(config)
    reference_results = read_reference_results(experiment.settings["reference_results"])
except UserError as error:
    raise WorkflowError(str(error)) from None

settings = experiment.settings


wildcard_constraints:
    model="[^/]+",
    study="[^/]+",
    encoder="[^/]+",
    fold=r"\d+",
    seed=r"\d+",


def data_files():
    """All files of the data set: CT volumes, masks and the registry."""
    registries = [
        experiment.root / f"dataset_registry.{suffix}" for suffix in ("csv", "xlsx")
    ]
    files = [
        path
        for study in experiment.studies.values()
        for path in (study.ct, study.mask)
        if path
    ]
    return [*map(str, files), *(str(path) for path in registries if path.exists())]


def ct(wildcards):
    """The CT volume of a study."""
    return str(experiment.studies[wildcards.study].ct)


def mask(wildcards):
    """The lesion mask of a study."""
    return str(experiment.studies[wildcards.study].mask)


def studies_of(subset):
    """A function of wildcards: the names of the studies in a subset of the job's fold."""
    return lambda wildcards: list(
        getattr(experiment.folds[int(wildcards.fold)], subset)
    )


def stacks_of(subset):
    """A function of wildcards: the slices of the studies in a subset of the job's fold."""
    return lambda wildcards: collect(
        "<results>/slices/{study}.npz", study=studies_of(subset)(wildcards)
    )


def references(wildcards):
    """The reference masks of the test studies of the job's fold."""
    return [
        str(experiment.studies[name].mask) for name in studies_of("test")(wildcards)
    ]


def encoder_weights(wildcards):
    """The file of pretrained encoder weights that a model starts from, if any."""
    return experiment.encoder_weights(wildcards.model)


def of_runs(pattern):
    """`pattern` filled in for every run of the experiment."""
    return [
        pattern.format(model=model, fold=fold, seed=seed)
        for model, fold, seed in experiment.runs
    ]


def network(wildcards):
    """What to build of a model's entry: without its recipe and its name in tables, which change no weights."""
    entry = settings["models"][wildcards.model]
    return {
        key: value for key, value in entry.items() if key not in ("training", "label")
    }


def metric_settings(wildcards):
    """What the scores of a prediction depend on; the threshold has already made the prediction."""
    return {
        key: settings["evaluation"][key]
        for key in ("min_lesion_voxels", "surface_tolerance_mm")
    }
