"""Train one model on one fold with one seed."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from lesionbench.experiment.slurm import claim

    folder, params = Path(snakemake.output.weights).parent, snakemake.params
    with claim(folder):
        from lesionbench.data.manifest import read_manifest
        from lesionbench.data.preprocessing import Preprocessing
        from lesionbench.models.entry import ModelEntry
        from lesionbench.training.learner import FoldData
        from lesionbench.training.loop import train
        from lesionbench.training.recipe import Recipe

        train(
            ModelEntry(**params.model),
            Recipe(**params.training),
            FoldData(
                read_manifest(snakemake.input.train),
                read_manifest(snakemake.input.validation),
                Preprocessing(**params.preprocessing),
                int(snakemake.wildcards.fold),
                params.intensity,
            ),
            folder,
            int(snakemake.wildcards.seed),
            encoder_weights=next(iter(snakemake.input.encoder_weights), None),
            code=params.code,
            threads=snakemake.threads,
            log=params.log,
        )
