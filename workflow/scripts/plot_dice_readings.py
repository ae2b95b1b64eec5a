"""Draw the mean Dice of the same predictions by what is averaged."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.evaluation.scores import read_table
    from lesionbench.report.score_charts import dice_readings
    from lesionbench.report.style import save_figure

    save_figure(dice_readings(read_table(snakemake.input.readings)), snakemake.output)
