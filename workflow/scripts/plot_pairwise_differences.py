"""Draw the differences of all pairs of models."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    import pandas as pd

    from lesionbench.charts import pairwise_differences
    from lesionbench.figures import save_figure

    save_figure(pairwise_differences(pd.read_csv(snakemake.input.pairwise)), snakemake.output)
