"""Draw the mean Dice of the same predictions by what is averaged."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    import pandas as pd

    from lesionbench.figures import save_figure
    from lesionbench.score_charts import dice_readings

    save_figure(dice_readings(pd.read_csv(snakemake.input.readings)), snakemake.output)
