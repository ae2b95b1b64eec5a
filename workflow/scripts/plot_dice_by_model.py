"""Draw the Dice of every study by every model."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.evaluation.scores import read_table
    from lesionbench.report.score_charts import dice_by_model
    from lesionbench.report.style import save_figure

    dice = read_table(snakemake.input.per_study).set_index("study")
    save_figure(dice_by_model(read_table(snakemake.input.comparison), dice), snakemake.output)
