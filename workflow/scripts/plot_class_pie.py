"""Draw the classes of the data set: Figure 3.1."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.evaluation.scores import read_table
    from lesionbench.report.charts import class_pie
    from lesionbench.report.style import save_figure

    save_figure(class_pie(read_table(snakemake.input.classes)), snakemake.output)
