"""Average what the members of an ensemble predict of the test studies of one run."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from lesionbench.data.reading import Reading
    from lesionbench.logs import logger
    from lesionbench.progress import track
    from lesionbench.segmentation.ensemble import Member, average
    from lesionbench.segmentation.operating_point import find_point, write_lesion
    from lesionbench.segmentation.probabilities import probability_path, write_probability

    folder, params = Path(snakemake.output[0]), snakemake.params
    members = [Member(*pair) for pair in zip(snakemake.input.predictions, params.made_here, strict=True)]
    point = find_point(params.point, snakemake.input.point)
    for study in track(params.studies, "study"):
        probability = average(members, study, Reading(**params.reading))
        volume = write_lesion(probability, point, folder / f"{study}.nii.gz")
        logger.info("%s: lesion of %.1f ml", study, volume)
        if params.probabilities:
            write_probability(probability, probability_path(folder, study))
