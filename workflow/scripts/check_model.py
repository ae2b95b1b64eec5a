"""Stop where a model did not pass its trial."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.models.verdict import pass_on

    pass_on(snakemake.input[0], snakemake.wildcards.model, snakemake.output[0])
