"""Compare the models: the comparison as a file, and the tables of an experiment."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.frames import read_frame
    from lesionbench.evaluation.comparison import compare_models, write_comparison
    from lesionbench.evaluation.scores import collect_scores
    from lesionbench.evaluation.scoring import Scoring
    from lesionbench.evaluation.selection import Sweep, read_validation
    from lesionbench.report.comparison_tables import make_tables
    from lesionbench.report.subgroup_table import subgroups
    from lesionbench.report.sweep_tables import sweep_tables
    from lesionbench.report.tables import write_table

    inputs, params = snakemake.input, snakemake.params
    comparison = compare_models(
        collect_scores(inputs.metrics, params.runs),
        collect_scores(inputs.slices, params.runs),
        params.labels,
        params.reference,
        params.resamples,
        params.patients,
        params.test_share,
        {name: Sweep(**sweep) for name, sweep in params.sweeps.items()},
        read_validation(inputs.histories, inputs.records, params.sweep_trainings),
    )
    write_comparison(comparison, snakemake.output.data)
    scoring = Scoring(**params.scoring)
    tables = make_tables(comparison, scoring)
    tables["subgroups"] = subgroups(comparison, read_frame(inputs.inventory), scoring)
    tables |= sweep_tables(comparison) if params.sweeps else {}
    for name, table in tables.items():
        write_table(table, snakemake.output.get(name))
