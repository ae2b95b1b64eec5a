"""List the studies of the data set, what is wrong with them, and the number of each class."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from lesionbench.data.frames import write_frame
    from lesionbench.data.inventory import class_counts, findings_frame, inventory, read_registry, refuse_errors
    from lesionbench.data.reading import Reading
    from lesionbench.data.studies import with_files

    listed = snakemake.input.registry
    root = Path(listed).parent if listed else Path(snakemake.params.root)
    studies = with_files(snakemake.params.studies, snakemake.input.ct, snakemake.input.masks)
    registry = read_registry(root, {study.name for study in studies}) if listed else None
    table, findings = inventory(studies, root, registry, snakemake.threads, Reading(**snakemake.params.reading))
    refuse_errors(findings, root)
    write_frame(table, snakemake.output.studies)
    write_frame(class_counts(table, registry, snakemake.params.categories), snakemake.output.classes)
    write_frame(findings_frame(findings), snakemake.output.findings)
