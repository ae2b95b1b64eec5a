"""Draw how often each model takes each rank when the studies are drawn anew."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    import pandas as pd

    from lesionbench.evaluation.statistics import rank_distribution
    from lesionbench.report.score_charts import rank_stability
    from lesionbench.report.style import save_figure

    dice = pd.read_csv(snakemake.input.per_study, index_col="study")
    ranks = rank_distribution(dice, snakemake.params.resamples)
    save_figure(rank_stability(ranks, snakemake.params.labels), snakemake.output)
