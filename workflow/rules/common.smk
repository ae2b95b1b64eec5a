import atexit
import os
import re
import sys
from itertools import product
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

from lesionbench.data.content import content, is_told_by_content
from lesionbench.environment import SCRIPTS, prefer_this_checkout, prefer_this_python
from lesionbench.errors import UserError
from lesionbench.experiment.config import fill_empty_sections, read_schema
from lesionbench.experiment.digest import code_digest
from lesionbench.experiment.failures import Failure, describe_failures
from lesionbench.experiment.notification import check_command, describe_made, notify
from lesionbench.experiment.plan import plan_experiment, planned
from lesionbench.experiment.slurm import cancel_left_over, claimed_by
from lesionbench.experiment.typed import check_config_files, expand_pathvars, hidden_keys, place_own_files
from lesionbench.files import sha256
from lesionbench.report.catalogue import AT_A_GLANCE, FIGURES, TABLES, due_figures, entry, external_figures
from lesionbench.report.catalogue import caption, grid_caption, predictions_caption
from lesionbench.words import Verbatim


def plan():
    """The experiment. To lint and to list rules, for which Snakemake looks at no file, its data need not be there.

    While it parses, only the command line tells that this is all that is wanted.
    """
    try:
        return plan_experiment(config)
    except UserError as error:
        asked = {word.partition("=")[0] for word in sys.argv}
        if not asked & {"--lint", "--list-rules", "--list", "-l", "--list-target-rules", "--lt"}:
            raise
        print(f"{error}\nSo the rules are those for synthetic data.", file=sys.stderr)
        return plan_experiment({**config, "dataset": {"phantom": {}}, "external": {}})


prefer_this_checkout()
try:
    prefer_this_python()
    # Snakemake lists config.yaml last, and reads it first.
    files = list(getattr(workflow, "configfiles", []))
    files = files[-1:] + files[:-1]
    check_config_files(files)
    if workflow.is_main_process:
        sys.stderr.writelines(f"{line}\n" for line in hidden_keys(files, read_schema()))
    fill_empty_sections(config, files)
    place_own_files(config, files)
    expand_pathvars(workflow.pathvars.items)
    experiment = plan()
except UserError as error:
    raise WorkflowError(str(error)) from None

settings = experiment.settings


wildcard_constraints:
    model="[^/]+",
    study="[^/]+",
    encoder="[^/]+",
    figure="|".join(FIGURES),
    fold=r"\d+",
    subset="train|validation|test",
    cut="[^/]+",
    seed=r"\d+",


def growing(megabytes):
    """Memory that a job asks for: the same amount more with each attempt."""
    return lambda wildcards, attempt: attempt * megabytes


def stacks_of(cut, fold, subset):
    """The slices of the studies in a subset of a fold."""
    return collect(f"<results>/slices/{cut}/{{study}}.npz", study=experiment.subset(fold, subset))


def external_stacks(external, cut):
    """The slices of the studies of an external set."""
    studies = experiment.external[external].studies
    return collect(f"<results>/external/{external}/slices/{cut}/{{study}}.npz", study=studies)


def slices_of(subset):
    """A function of wildcards: the list of a model's slices in a subset of a fold."""
    return lambda wildcards: f"<results>/slices/{experiment.cut(wildcards.model)}/fold-{wildcards.fold}/{subset}.csv"


def where_stored(stacks):
    """A function of wildcards: the slices of a list, which a storage provider fetches only for a job that names them."""
    return lambda wildcards: stacks(wildcards) if workflow.storage_settings.default_storage_provider else []


def stored_slices(*subsets):
    """As `slices_of` of some subsets: the slices themselves, `where_stored`."""
    return where_stored(
        lambda wildcards: [
            file for subset in subsets for file in stacks_of(experiment.cut(wildcards.model), wildcards.fold, subset)
        ]
    )


def one_of(names):
    """A constraint of a wildcard: one of these names, which may be none."""
    return "|".join(map(re.escape, names)) or "(?!)"


def left_over_jobs():
    """The numbers of SLURM jobs that may still be making what is due, from Snakemake's internal objects.

    Snakemake notes the number of a job that it has submitted; the job itself deletes that note once it runs, so
    trainings leave their own.
    """
    training_rules = (rules.train.rule, rules.run_method.rule)
    try:
        due = list(workflow.dag.needrun_jobs())
        noted = {number for job in due for number in workflow.persistence.external_jobids(job)}
        trainings = [Path(job.output.run).parent for job in due if job.rule in training_rules]
    except AttributeError as error:
        print(f"This version of Snakemake does not say which jobs are due ({error}).", file=sys.stderr)
        return set()
    return noted | {claimed_by(folder) for folder in trainings} - {None}


def due_models(rule, models):
    """The models of which jobs of a rule are due; all of `models` where Snakemake does not say."""
    try:
        due = list(workflow.dag.needrun_jobs())
    except AttributeError:
        return models
    return {job.wildcards.model for job in due if job.rule is rule}


# Jobs do not run this.
onstart:
    try:
        experiment.check_programs(due_models(rules.run_method.rule, experiment.methods))
        experiment.check_trackers(due_models(rules.train.rule, experiment.networks))
        check_command(settings["notify"])
        cancel_left_over(left_over_jobs())
    except UserError as error:
        raise WorkflowError(str(error)) from None


def failures():
    """The jobs that failed, from Snakemake's internal objects; none where it does not say."""
    try:
        jobs = [job for failed in workflow.scheduler.failed for job in getattr(failed, "jobs", [failed])]
        return [Failure(job.message or job.rule.name, Path(job.log[0]) if job.log else None) for job in jobs]
    except AttributeError:
        return []


def done():
    """The rules of the jobs that were done, from Snakemake's internal objects; none where it does not say."""
    try:
        return [job.rule.name for job in workflow.dag.finished_jobs if job.rule is not rules.all.rule]
    except AttributeError:
        return []


def tell(status, message):
    """Run the user's command, if there is one. `--touch` makes nothing."""
    if settings["notify"] and not workflow.touch:
        notify(settings["notify"], status, Path(settings["pathvars"].get("results", "results")), message)


onsuccess:
    tell("done", describe_made(done()))


# At the very end: after this, Snakemake still says where its own log is.
onerror:
    failed = describe_failures(failures())
    parts = [failed, experiment.unfinished()]
    atexit.register(print, "\n" + "\n\n".join(filter(None, parts)), file=sys.stderr)
    tell("failed", failed or "It was stopped before all was made.")
