"""Set the share of the lungs that each model marks against the classes of the studies."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    import pandas as pd

    from lesionbench.data.frames import read_frame, write_frame
    from lesionbench.evaluation.severity import judge_severity
    from lesionbench.report.severity_tables import severity_tables
    from lesionbench.report.tables import write_table

    inputs, params = snakemake.input, snakemake.params
    found = [read_frame(path).assign(model=model) for model, path in zip(params.labels, inputs.scans, strict=True)]
    shares = pd.concat(found).rename(columns={"scan": "study", "share_involved": "share"})
    shares["category"] = shares["study"].map(params.categories)
    shares = shares[["model", "study", "category", "lesion_ml", "lungs_ml", "share"]]
    write_frame(shares, snakemake.output.shares)
    severity = judge_severity(shares, params.patients, params.resamples)
    for name, table in severity_tables(severity, params.labels).items():
        write_table(table, snakemake.output.get(name))
