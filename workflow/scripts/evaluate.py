"""Compare one folder of predicted masks with the references."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.frames import write_frame
    from lesionbench.data.reading import Reading
    from lesionbench.evaluation.metrics import evaluate
    from lesionbench.evaluation.scoring import Scoring

    studies, slices = evaluate(
        dict(zip(snakemake.params.studies, snakemake.input.references, strict=True)),
        snakemake.input.predictions,
        snakemake.params.plane,
        Scoring(**snakemake.params.scoring),
        Reading(**snakemake.params.reading),
    )
    write_frame(studies, snakemake.output.studies)
    write_frame(slices, snakemake.output.slices)
