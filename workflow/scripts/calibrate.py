"""Count, by level of their probabilities, the voxels and the lesions of the test studies of one run."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.frames import write_frame
    from lesionbench.data.reading import Reading
    from lesionbench.evaluation.calibration import count_studies
    from lesionbench.evaluation.scoring import Scoring
    from lesionbench.segmentation.lung_box import read_boxes

    params = snakemake.params
    counts, lesions = count_studies(
        snakemake.input.predictions,
        dict(zip(params.studies, snakemake.input.references, strict=True)),
        read_boxes(snakemake.input.boxes),
        Scoring(**params.scoring),
        Reading(**params.reading),
    )
    write_frame(counts, snakemake.output.counts)
    write_frame(lesions, snakemake.output.lesions)
