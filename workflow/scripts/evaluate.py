"""Compare one folder of predicted masks with the references."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.evaluation.metrics import evaluate
    from lesionbench.evaluation.scoring import Scoring
    from lesionbench.files import atomic

    studies, slices = evaluate(
        dict(zip(snakemake.params.studies, snakemake.input.references, strict=True)),
        snakemake.input.predictions,
        snakemake.params.plane,
        Scoring(**snakemake.params.scoring),
    )
    for table, path in ((studies, snakemake.output.studies), (slices, snakemake.output.slices)):
        with atomic(path) as temporary:
            table.to_csv(temporary, index=False)
