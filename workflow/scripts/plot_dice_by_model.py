"""Draw the Dice of every study by every model."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    import pandas as pd

    from lesionbench.figures import save_figure
    from lesionbench.score_charts import dice_by_model

    dice = pd.read_csv(snakemake.input.per_study, index_col="study")
    save_figure(dice_by_model(pd.read_csv(snakemake.input.comparison), dice), snakemake.output)
