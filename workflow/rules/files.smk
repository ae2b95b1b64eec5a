def masks_of(model, fold, seed):
    """The folder of the masks of a run."""
    return folder_of(experiment.all_rows[model], experiment.all_rows[model].masks(fold, seed))


def folder_of(row, folder):
    """A folder of masks of a row."""
    # Other files may come and go in a folder from elsewhere: what counts there is `masks_from_elsewhere`.
    return folder if row.made_here else ancient(local(folder))


def given(paths):
    """Files that were there before: they lie where Snakemake parses, whatever storage holds the results."""
    if not isinstance(paths, str):
        return [given(path) for path in paths]
    return paths if paths.startswith("<") else local(paths)


def sources(paths):
    """As `given`; where the rule's params hold a file's content, its time does not count."""
    if not isinstance(paths, str):
        return [sources(path) for path in paths]
    return ancient(given(paths)) if not paths.startswith("<") and is_told_by_content(paths) else given(paths)


def in_set(name, change=lambda found: found):
    """A function of wildcards: what an external set says of `name`."""

    def ask(wildcards):
        found = getattr(experiment.external[wildcards.external], name)
        return change(planned(found)(wildcards) if callable(found) else found)

    return ask


def external_masks_of(wildcards):
    """As `masks_of`, of an external set."""
    row = experiment.all_rows[wildcards.model]
    return folder_of(row, row.external_masks(wildcards.external, wildcards.fold, wildcards.seed))


def masks_of_external_members(wildcards):
    """The masks of an external set by an ensemble's members that were there before."""
    cohort, runs = experiment.external[wildcards.external], experiment.member_external_runs(wildcards.model)
    return [str(path) for row, _ in runs for path in row.external_mask_files(cohort.name, cohort.names).values()]


def members_of(runs, masks=lambda row, run: row.masks(run.fold, run.seed)):
    """The folders of the masks of an ensemble's members, of all their runs."""
    return [folder_of(row, masks(row, run)) for row, run in runs]


def validation_of_members(wildcards):
    """The folders of the probabilities of the validation studies by which an operating point is chosen."""
    return experiment.made_here[wildcards.model].validations(wildcards.fold, wildcards.seed, settings["seeds"])


def chosen_points(model, folds, seed):
    """The files of a model's operating points, where they are chosen."""
    pattern = "<results>/models/{model}/fold-{fold}/seed-{seed}/operating_point.json"
    runs = [(model, fold, seed) for fold in folds]
    return of_runs(pattern, runs) if experiment.made_here[model].point.is_to_choose else []


def scan_set(name):
    """A set of scans to segment. Where there is nothing to compare, Snakemake ends with the reason."""
    try:
        return experiment.scan_set(name)
    except UserError as error:
        sys.exit(str(error))  # of an exception in a function of wildcards, Snakemake would show a traceback


def scan_set_of(wildcards):
    """The set of scans to segment that a job is of."""
    return scan_set(wildcards.scans)


def of_segmenting(file, wildcards):
    """A file of each training whose networks segment a part of a set of scans."""
    runs = [run for _, run in planned(experiment.segmenting_runs)(wildcards)]
    return of_runs(f"<results>/models/{{model}}/fold-{{fold}}/seed-{{seed}}/{file}", runs)


def of_runs(pattern, runs=experiment.runs):
    """`pattern` filled in for every run of the experiment, or for some."""
    return [pattern.format(model=model, fold=fold, seed=seed) for model, fold, seed in runs]


def made(files, runs=({},), **wildcards):
    """The output of a rule filled in for some runs, or for all values of its wildcards.

    Unlike `collect`, it takes files that a storage provider holds.
    """
    runs = [dict(zip(("model", "fold", "seed"), run)) for run in runs]
    every = [dict(zip(wildcards, values)) for values in product(*wildcards.values())]
    return [file.apply_wildcards(run | values) for run in runs for values in every for file in files]


def set_label(wildcards):
    """An external set in the report."""
    return Verbatim(experiment.external[wildcards.external].label)


# The run of each model whose masks the figures of slices show.
first_run = (experiment.first_fold, settings["seeds"][0])
first_scores = "<results>/metrics/{{model}}/fold-{}/seed-{}/slices.csv".format(*first_run)
shown_studies = experiment.tested(experiment.first_fold)
shown_stacks = collect(f"<results>/slices/{experiment.preprocessing.cut}/{{study}}.npz", study=shown_studies)
# The files of each kind of input that figures read.
figure_inputs = {
    "calibration": "<results>/calibration/curves.csv",
    "classes": "<results>/dataset/classes.csv",
    "comparison": "<results>/comparison.json",
    "cost": "<results>/tables/cost.csv",
    "histories": of_runs("<results>/models/{model}/fold-{fold}/seed-{seed}/history.csv", experiment.trainings),
    "inventory": "<results>/dataset/studies.csv",
    "shares": "<results>/severity/shares.csv",
    "points": of_runs("<results>/models/{model}/fold-{fold}/seed-{seed}/operating_point.json", experiment.choices),
    "stacks": shown_stacks,
    "transfer": "<results>/tables/external_sets.csv",
}
# What the rows of sweeps left of their validation.
of_sweeps = {
    name: of_runs(f"<results>/models/{{model}}/fold-{{fold}}/seed-{{seed}}/{file}", experiment.sweep_trainings)
    for name, file in (("histories", "history.csv"), ("records", "run.json"))
}

# The runs and the models of those that are of some.
figure_runs = {"histories": experiment.trainings, "points": experiment.choices}
figure_labels = {
    "calibration": experiment.calibrated_labels,
    "histories": experiment.network_labels,
    "points": experiment.choice_labels,
    "shares": experiment.segmenting_labels,
}


def first_of(kinds, figure, empty):
    """What belongs to the first kind of input that a figure reads and that has it."""
    return next((kinds[kind] for kind in FIGURES[figure].reads if kind in kinds), empty)


def table(name, folder="<results>/tables", **shown):
    """The files of a table; the report shows the page."""
    place = {"category": TABLES[name].category, "subcategory": TABLES[name].section}
    labels = {"result": entry("Table", name)}
    page = report(f"{folder}/{name}.html", caption=f"../report/{name}.rst", labels=labels, **{**place, **shown})
    return [page, *(f"{folder}/{name}.{suffix}" for suffix in ("csv", "md", "tex"))]


def comparison_tables(*folder, **shown):
    """The tables of a comparison, by their names."""
    names = ("comparison", "pairwise", "per_study", "metrics", "volumes", "lesions", "subgroups", "readings")
    further = ("sweeps", "sweep_rows") if experiment.sweeps else ()
    return {name: table(name, *folder, **shown) for name in (*names, *further)}


def figure(name, labels, folder="<results>/figures", **shown):
    """The files of a figure, one a format, and the page that the report shows."""
    page = report(f"{folder}/{name}.html", caption="../report/figure.rst", labels=labels, **shown)
    return [page, *(f"{folder}/{name}.{suffix}" for suffix in settings["figures"]["formats"])]


def targets():
    """What the workflow makes in the end."""
    with_ct = [made(rules.plot_predictions.output, model=experiment.rows), rules.plot_model_grid.output]
    return [
        made(rules.check_model.output, model=experiment.networks),
        # By themselves too: a result that was deleted, and that nothing which is due needs, is made again.
        made(rules.train.output, experiment.trainings),
        [masks_of(*run) for run in experiment.runs],
        made([rules.run_method.output.run, rules.run_method.output.validation], experiment.method_runs),
        made(rules.evaluate.output, experiment.runs),
        rules.summary.output,
        rules.inventory.output,
        rules.slice_table.output,
        rules.findings_table.output,
        rules.compare.output,
        made(rules.plot.output, figure=due_figures(experiment)),
        with_ct if experiment.shows_ct else [],
        made(rules.view_study.output, rank=experiment.viewed),
        rules.compare_cost.output if experiment.costs else [],
        rules.list_operating_points.output if experiment.choices else [],
        rules.compare_calibration.output if experiment.calibrated else [],
        made(rules.compare_external.output, external=experiment.external),
        made(rules.plot_external.output, external=experiment.external, figure=external_figures(experiment)),
        rules.compare_sets.output if experiment.external else [],
        made(rules.gather_scans.output, scans=experiment.scan_sets, model=experiment.segmenting),
    ]
