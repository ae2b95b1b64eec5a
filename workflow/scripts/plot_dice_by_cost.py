"""Draw the mean Dice of each model over what it costs."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.evaluation.scores import read_table
    from lesionbench.report.score_charts import dice_by_cost
    from lesionbench.report.style import save_figure

    figure = dice_by_cost(read_table(snakemake.input.comparison), read_table(snakemake.input.cost))
    save_figure(figure, snakemake.output)
