"""Compute what each model that is trained here costs."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.report.cost import cost_table
    from lesionbench.report.tables import write_table

    table = cost_table(
        snakemake.input.records,
        snakemake.input.predictions,
        snakemake.input.checks,
        snakemake.params.runs,
        snakemake.params.rows,
        snakemake.params.labels,
    )
    write_table(table, snakemake.output)
