"""Draw a slice with the outline of its lesions: Figures 1.2 and 4.2."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.report.panels import example_slice
    from lesionbench.report.style import save_figure

    save_figure(example_slice(snakemake.input.stacks), snakemake.output)
