"""Draw how often each model takes each rank when the studies are drawn anew."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.evaluation.scores import read_table
    from lesionbench.evaluation.statistics import rank_distribution
    from lesionbench.report.score_charts import rank_stability
    from lesionbench.report.style import save_figure

    dice = read_table(snakemake.input.per_study).set_index("study")
    ranks = rank_distribution(dice, snakemake.params.resamples)
    save_figure(rank_stability(ranks, snakemake.params.labels), snakemake.output)
