"""List the studies of the data set and count its classes."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from lesionbench.data.frames import write_frame
    from lesionbench.data.inventory import class_counts, inventory, read_registry
    from lesionbench.data.reading import Reading
    from lesionbench.data.studies import with_files

    listed = snakemake.input.registry
    root = Path(listed).parent if listed else Path(snakemake.params.root)
    studies = with_files(snakemake.params.studies, snakemake.input.ct, snakemake.input.masks)
    registry = read_registry(root, {study.name for study in studies}) if listed else None
    table = inventory(studies, root, registry, snakemake.threads, Reading(**snakemake.params.reading))
    write_frame(table, snakemake.output.studies)
    write_frame(class_counts(table, registry, snakemake.params.categories), snakemake.output.classes)
