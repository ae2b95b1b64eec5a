"""List what was chosen on the validation studies of each run."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.report.point_table import point_table, read_choices
    from lesionbench.report.tables import write_table

    choices = read_choices(snakemake.input, snakemake.params.runs)
    write_table(point_table(choices, snakemake.params.labels), snakemake.output)
