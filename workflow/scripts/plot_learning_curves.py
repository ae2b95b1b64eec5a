"""Draw the losses and the validation Dice of all trainings over epochs."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.evaluation.scores import collect_scores
    from lesionbench.report.charts import learning_curves
    from lesionbench.report.style import save_figure

    histories = collect_scores(snakemake.input.histories, snakemake.params.runs)
    save_figure(learning_curves(histories, snakemake.params.labels), snakemake.output)
