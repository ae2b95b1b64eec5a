import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError


def own_scripts():
    """The folder of this workflow's scripts and library, also where another workflow uses this one as a module.

    From a hosted repository Snakemake fetches only the files that rules name; the library needs all of `workflow/`.
    """
    here = workflow.current_basedir
    if isinstance(here, os.PathLike):
        return Path(here).parent / "scripts"
    git = here.hosted_repo.repo.git
    files = git.ls_tree("-r", "--name-only", here.ref, "--", "workflow").splitlines()
    copies = {file: Path(workflow.source_path(f"../../{file}")) for file in files}
    scripts = copies["workflow/scripts/train.py"].parent
    (scripts / "commit").write_text(git.rev_parse(f"{here.ref}^{{commit}}"))
    return scripts


# Another `lesionbench` may be installed, or imported by the workflow that uses this one.
sys.path.insert(0, str(own_scripts()))
for name in [name for name in sys.modules if name.partition(".")[0] == "lesionbench"]:
    del sys.modules[name]

from lesionbench.experiment.digest import SCRIPTS, code_digest
from lesionbench.errors import UserError
from lesionbench.experiment.plan import plan_experiment, read_reference_results
from lesionbench.files import sha256
from lesionbench.environment import prefer_this_checkout
from lesionbench.experiment.slurm import cancel_left_over, claimed_by
from lesionbench.words import Verbatim, counted

prefer_this_checkout()
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


def growing(megabytes):
    """Memory that a job asks for: as much again with each attempt."""
    return lambda wildcards, attempt: attempt * megabytes


def ct(wildcards):
    """The CT volume of a study."""
    return str(experiment.studies[wildcards.study].ct)


def mask(wildcards):
    """The lesion mask of a study."""
    return str(experiment.studies[wildcards.study].mask)


def subsets(wildcards):
    """The names of the studies in each subset of the job's fold."""
    fold = experiment.folds[int(wildcards.fold)]
    return {subset: list(getattr(fold, subset)) for subset in ("train", "validation", "test")}


def test_studies(wildcards):
    """The names of the test studies of the job's fold."""
    return subsets(wildcards)["test"]


def stacks_of(subset):
    """A function of wildcards: the slices of the studies in a subset of the job's fold."""
    return lambda wildcards: collect("<results>/slices/{study}.npz", study=subsets(wildcards)[subset])


def references(wildcards):
    """The reference masks of the test studies of the job's fold."""
    return [str(experiment.studies[name].mask) for name in test_studies(wildcards)]


def masks_of(model, run):
    """The folder of a model's masks: what `predict` makes, or one that was made elsewhere."""
    folder = experiment.predictions(model)
    # Other files may come and go in a folder from elsewhere: what counts is `masks_from_elsewhere`.
    return ancient(folder) if folder else f"<results>/predictions/{model}/{run}"


def predictions(wildcards):
    """The folder of the masks to score."""
    return masks_of(wildcards.model, f"fold-{wildcards.fold}/seed-{wildcards.seed}")


def masks_from_elsewhere(wildcards):
    """The files of those masks that belong to the job's test studies."""
    return experiment.masks_from_elsewhere(wildcards.model, int(wildcards.fold))


def encoder_weights(wildcards):
    """The file of pretrained encoder weights that a model starts from, if any."""
    return experiment.encoder_weights(wildcards.model)


def of_runs(pattern, runs=experiment.runs):
    """`pattern` filled in for every run of the experiment, or for some."""
    return [pattern.format(model=model, fold=fold, seed=seed) for model, fold, seed in runs]


def network(wildcards):
    """What to build of a model's entry: without its recipe and its name in tables, which change no weights."""
    entry = settings["models"][wildcards.model]
    return {key: value for key, value in entry.items() if key not in ("training", "label")}


def configuration():
    """What the numbers of the experiment depend on: the settings without figures, folders and models left aside."""
    used = {model: settings["models"][model] for model in settings["compare"]}
    return {key: value for key, value in settings.items() if key not in ("figures", "pathvars")} | {"models": used}


def training_code(wildcards):
    """The digest of what a training executes: of all losses, the one that its recipe names."""
    return code_digest("train", [f"training.loss:{settings['models'][wildcards.model]['training']['loss']}_loss"])


def metric_settings(wildcards):
    """What the scores of a prediction depend on; the threshold has already made the prediction."""
    return {key: settings["evaluation"][key] for key in ("min_lesion_voxels", "surface_tolerance_mm")}


labels = {model: experiment.label(model) for model in settings["compare"]}
trained_labels = {model: labels[model] for model in experiment.trained}
first_fold = min(experiment.folds)
# The run of each model whose predictions the figures of slices show.
shown = f"fold-{first_fold}/seed-{settings['seeds'][0]}"
# What captions say of the studies that a table or a figure stands on.
tested = counted(sum(len(fold.test) for fold in experiment.folds.values()), "test study")
shown_tested = counted(len(experiment.folds[first_fold].test), "test study")
if len(experiment.folds) > 1:
    shown_tested += f" of fold {first_fold}"
shown_run = shown_tested
if experiment.trained and len(settings["seeds"]) > 1:
    tested += f" (averaged over {len(settings['seeds'])} seeds)"
    shown_run += f" (seed {settings['seeds'][0]})"
shown_stacks = collect("<results>/slices/{study}.npz", study=experiment.folds[first_fold].test)


def table(name, category):
    """The files of a table; the report shows the page."""
    page = report(
        f"<results>/tables/{name}.html",
        caption=f"../report/{name}.rst",
        category=category,
        labels={"result": f"Table: {name.replace('_', ' ')}"},
    )
    return [page, *(f"<results>/tables/{name}.{suffix}" for suffix in ("csv", "md", "tex"))]


def figure(name, category, caption=None, labels=None):
    """The files of a figure, one a format; the report shows the first, under its name or other labels."""
    first, *others = [f"<results>/figures/{name}.{suffix}" for suffix in settings["figures"]["formats"]]
    caption = f"../report/{caption or name}.rst"
    labels = labels or {"result": f"Figure: {name.replace('_', ' ')}"}
    return [report(first, caption=caption, category=category, labels=labels), *others]


def targets():
    """What the workflow makes in the end."""
    shown = [experiment.studies[name] for name in experiment.folds[first_fold].test]
    with_ct = [
        rules.plot_example_slice.output,
        collect(rules.plot_predictions.output, model=labels),
        rules.plot_model_grid.output,
    ]
    of_trainings = [rules.plot_learning_curves.output, rules.compare_cost.output, rules.plot_dice_by_cost.output]
    of_several = [rules.plot_pairwise_differences.output, rules.plot_rank_stability.output]
    return [
        rules.summary.output,
        rules.inventory.output,
        rules.slice_table.output,
        rules.compare.output,
        rules.plot_class_pie.output,
        rules.plot_dice_by_model.output,
        rules.plot_dice_readings.output,
        rules.plot_volume_agreement.output,
        with_ct if all(study.ct for study in shown) else [],
        of_trainings if experiment.trained else [],
        of_several if len(labels) > 1 else [],
    ]


# Jobs do not run this. Snakemake notes the number of a job that it has submitted; the job itself, once it runs, blots
# it out, so trainings leave their own.
onstart:
    due = list(workflow.dag.needrun_jobs())
    jobs = {number for job in due for number in workflow.persistence.external_jobids(job)}
    jobs |= {claimed_by(Path(job.output.run).parent) for job in due if job.rule is rules.train.rule} - {None}
    try:
        cancel_left_over(jobs)
    except UserError as error:
        raise WorkflowError(str(error)) from None


onerror:
    if unfinished := experiment.unfinished():
        print(unfinished, file=sys.stderr)
