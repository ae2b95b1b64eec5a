"""Count studies and slices by subset: Table 3.1."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.frames import read_frame
    from lesionbench.report.subset_table import slices_by_subset
    from lesionbench.report.tables import write_table

    table = slices_by_subset(
        read_frame(snakemake.input.studies),
        {number: read_frame(path) for number, path in enumerate(snakemake.input.splits)},
        snakemake.params.plane,
        snakemake.params.paper,
    )
    write_table(table, snakemake.output)
