"""Count studies and slices by subset: Table 3.1."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    import pandas as pd

    from lesionbench.report.tables import slices_by_subset, write_table

    table = slices_by_subset(
        pd.read_csv(snakemake.input.studies),
        {number: pd.read_csv(path) for number, path in enumerate(snakemake.input.splits)},
        snakemake.params.plane,
        snakemake.params.paper,
    )
    write_table(table, snakemake.output)
