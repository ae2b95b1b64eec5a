"""Draw the differences of all pairs of models."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    import pandas as pd

    from lesionbench.report.score_charts import pairwise_differences
    from lesionbench.report.style import save_figure

    save_figure(pairwise_differences(pd.read_csv(snakemake.input.pairwise)), snakemake.output)
