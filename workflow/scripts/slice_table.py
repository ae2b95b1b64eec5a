"""Count studies and slices by subset: Table 3.1."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.frames import read_frame
    from lesionbench.report.shown_slices import check_listed
    from lesionbench.report.subset_table import slices_by_subset
    from lesionbench.report.tables import write_table

    studies = read_frame(snakemake.input.studies)
    check_listed(snakemake.params.shown, studies, snakemake.params.plane)
    table = slices_by_subset(
        studies,
        {number: read_frame(path) for number, path in enumerate(snakemake.input.splits)},
        snakemake.params.plane,
        snakemake.params.paper,
    )
    write_table(table, snakemake.output)
