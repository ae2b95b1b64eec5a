"""Draw how often each model takes each rank when the studies are drawn anew."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    import pandas as pd

    from lesionbench.figures import save_figure
    from lesionbench.score_charts import rank_stability
    from lesionbench.statistics import rank_distribution

    dice = pd.read_csv(snakemake.input.per_study, index_col="study")
    ranks = rank_distribution(dice, snakemake.params.resamples)
    save_figure(rank_stability(ranks, snakemake.params.labels), snakemake.output)
