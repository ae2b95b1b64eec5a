"""Draw a slice with the outline of its lesions: Figures 1.2 and 4.2."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.figures import save_figure
    from lesionbench.panels import example_slice

    save_figure(example_slice(snakemake.input.stacks), snakemake.output)
