"""List the slices of the studies in one subset of a fold."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.manifest import write_manifest

    write_manifest(dict(zip(snakemake.params.studies, snakemake.input, strict=True)), snakemake.output[0])
