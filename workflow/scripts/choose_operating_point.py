"""Choose the operating point of one run on its validation studies."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.reading import Reading
    from lesionbench.logs import logger
    from lesionbench.segmentation.ensemble import Member
    from lesionbench.segmentation.operating_point import choose, loader, write_choice
    from lesionbench.segmentation.point import OperatingPoint

    params = snakemake.params
    members = [Member(folder, made_here=True) for folder in snakemake.input.predictions]
    references = dict(zip(params.studies, snakemake.input.references, strict=True))
    load = loader(members, references, Reading(**params.reading))
    choice = choose(OperatingPoint(**params.point), params.studies, load)
    logger.info("Chosen: %s", choice.point)
    write_choice(choice, snakemake.output[0])
