"""Draw the Dice of every study by every model."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    import pandas as pd

    from lesionbench.report.score_charts import dice_by_model
    from lesionbench.report.style import save_figure

    dice = pd.read_csv(snakemake.input.per_study, index_col="study")
    save_figure(dice_by_model(pd.read_csv(snakemake.input.comparison), dice), snakemake.output)
