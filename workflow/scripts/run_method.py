"""Train an external method on one fold with one seed, and take what it predicts."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from lesionbench.experiment.slurm import claim

    output, params = snakemake.output, snakemake.params
    folder, model = Path(output.run).parent, snakemake.wildcards.model
    with claim(folder):
        from lesionbench.data.reading import Reading
        from lesionbench.models.programs import LEARNED, Program
        from lesionbench.segmentation.method import Request, run_method
        from lesionbench.training.handover import HandedStudy

        masks = iter(snakemake.input.masks)
        studies = [
            HandedStudy(name, subset, Path(ct), Path(next(masks)) if subset in LEARNED else None, Reading(**reading))
            for (name, subset, reading), ct in zip(params.studies, snakemake.input.ct, strict=True)
        ]
        asked = Request(
            key=f"models.{model}",
            program=Program.of(params.program),
            code=params.program_code,
            options=params.options,
            fold=int(snakemake.wildcards.fold),
            seed=int(snakemake.wildcards.seed),
            threads=snakemake.threads,
            device=params.device,
            probabilities=params.probabilities,
        )
        external = dict(zip(params.external, output.external, strict=True))
        run_method(asked, studies, folder, {"test": output.test, "validation": output.validation, **external})
