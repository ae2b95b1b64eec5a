"""Compare the models: the tables of an experiment."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.evaluation.scores import collect_scores
    from lesionbench.report.comparison import make_tables
    from lesionbench.report.tables import write_table

    tables = make_tables(
        collect_scores(snakemake.input.metrics, snakemake.params.runs),
        collect_scores(snakemake.input.slices, snakemake.params.runs),
        snakemake.params.labels,
        snakemake.params.reference,
        snakemake.params.resamples,
    )
    for name, table in tables.items():
        write_table(table, snakemake.output.get(name))
