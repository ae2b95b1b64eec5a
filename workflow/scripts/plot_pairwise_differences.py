"""Draw the differences of all pairs of models."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.evaluation.scores import read_table
    from lesionbench.report.score_charts import pairwise_differences
    from lesionbench.report.style import save_figure

    save_figure(pairwise_differences(read_table(snakemake.input.pairwise)), snakemake.output)
