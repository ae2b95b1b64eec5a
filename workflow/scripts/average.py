"""Average what the members of an ensemble predict of the test studies of one run."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from lesionbench.data.reading import Reading
    from lesionbench.segmentation.ensemble import Member, write_average

    params = snakemake.params
    members = [Member(*pair) for pair in zip(snakemake.input.predictions, params.made_here, strict=True)]
    for study in params.studies:
        path = Path(snakemake.output[0], f"{study}.nii.gz")
        write_average(members, study, params.threshold, path, Reading(**params.reading))
