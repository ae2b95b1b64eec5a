"""List the studies of the data set and count its classes."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from lesionbench.data.frames import write_frame
    from lesionbench.data.inventory import class_counts, inventory, read_registry
    from lesionbench.data.reading import Reading
    from lesionbench.data.studies import pair_studies

    root = Path(snakemake.input.masks[0]).parents[1]
    studies = pair_studies(snakemake.input.ct, snakemake.input.masks)
    registry = read_registry(root, {study.name for study in studies})
    table = inventory(studies, root, registry, snakemake.threads, Reading(**snakemake.params.reading))
    write_frame(table, snakemake.output.studies)
    write_frame(class_counts(table, registry), snakemake.output.classes)
