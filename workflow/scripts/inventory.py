"""List the studies of the data set, what is wrong with them, and the number of each class."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from lesionbench.data.frames import write_frame
    from lesionbench.data.inventory import class_counts, findings_frame, inventory, read_registry, refuse_errors
    from lesionbench.data.studies import pair_studies

    root = Path(snakemake.input.masks[0]).parents[1]
    studies = pair_studies(snakemake.input.ct, snakemake.input.masks)
    registry = read_registry(root, {study.name for study in studies})
    table, findings = inventory(studies, root, registry, snakemake.threads)
    refuse_errors(findings, root)
    write_frame(table, snakemake.output.studies)
    write_frame(class_counts(table, registry), snakemake.output.classes)
    write_frame(findings_frame(findings), snakemake.output.findings)
