"""List the studies of the data set and count its classes."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from lesionbench.data.inventory import class_counts, inventory, read_registry
    from lesionbench.data.studies import pair_studies
    from lesionbench.files import atomic

    root = Path(snakemake.input.masks[0]).parents[1]
    studies = pair_studies(snakemake.input.ct, snakemake.input.masks)
    registry = read_registry(root)
    table = inventory(studies, root, registry, snakemake.threads)
    for output, frame in ((snakemake.output.studies, table), (snakemake.output.classes, class_counts(table, registry))):
        with atomic(output) as path:
            frame.to_csv(path, index=False)
