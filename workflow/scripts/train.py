"""Train one model on one fold with one seed."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from lesionbench.experiment.slurm import claim

    folder = Path(snakemake.output.weights).parent
    with claim(folder):
        from lesionbench.training.loop import train

        train(
            snakemake.input.train,
            snakemake.input.validation,
            folder,
            model=snakemake.params.model,
            training=snakemake.params.training,
            preprocessing=snakemake.params.preprocessing,
            encoder_weights=next(iter(snakemake.input.encoder_weights), None),
            fold=int(snakemake.wildcards.fold),
            seed=int(snakemake.wildcards.seed),
            code=snakemake.params.code,
            threads=snakemake.threads,
        )
