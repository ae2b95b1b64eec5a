"""Write one fold: which subset each annotated study is in."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.split import Fold, write_fold

    write_fold(Fold(int(snakemake.wildcards.fold), **snakemake.params.subsets), snakemake.output[0])
