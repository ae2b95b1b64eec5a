"""Join the tables of the parts of a set of scans into one."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    import pandas as pd

    from lesionbench.data.frames import read_frame, write_frame

    write_frame(pd.concat(map(read_frame, snakemake.input)).sort_values("scan"), snakemake.output[0])
