"""Show what the check of the data set found."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.frames import read_frame
    from lesionbench.report.findings_table import findings_table
    from lesionbench.report.tables import write_table

    write_table(findings_table(read_frame(snakemake.input[0])), snakemake.output)
