"""List the studies of the data set, what is wrong with them, and the number of each class."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from lesionbench.data.duplicates import read_fingerprints, write_fingerprints
    from lesionbench.data.frames import read_frame, write_frame
    from lesionbench.data.inventory import (
        class_counts,
        find_known,
        findings_frame,
        inventory,
        read_registry,
        refuse_errors,
    )
    from lesionbench.data.reading import Reading
    from lesionbench.data.studies import with_files

    listed = snakemake.input.registry
    root = Path(listed).parent if listed else Path(snakemake.params.root)
    studies = with_files(snakemake.params.studies, snakemake.input.ct, snakemake.input.masks)
    registry = read_registry(root, {study.name for study in studies}) if listed else None
    found = inventory(studies, root, registry, snakemake.threads, Reading(**snakemake.params.reading))
    findings = found.findings
    if known := snakemake.input.get("known"):
        findings += find_known(found, read_frame(known[0]), read_fingerprints(known[1]))
    refuse_errors(findings, root)
    write_frame(found.table, snakemake.output.studies)
    write_frame(class_counts(found.table, registry, snakemake.params.categories), snakemake.output.classes)
    write_frame(findings_frame(findings), snakemake.output.findings)
    write_fingerprints(found.fingerprints, snakemake.output.fingerprints)
