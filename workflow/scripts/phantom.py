"""Synthesise a data set in MosMedData's layout."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from lesionbench.data.phantom import write_phantom
    from lesionbench.data.studies import Phantom

    write_phantom(Path(snakemake.output.registry).parent, Phantom(**snakemake.params.phantom))
