"""Draw one model's prediction in its worst, median and best study: Figures 6.2, 7.1, 8.3 and 9.3."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.frames import read_frame
    from lesionbench.data.reading import Reading
    from lesionbench.report.figures.ct_panels import prediction_strip
    from lesionbench.report.style import save_figure

    figure = prediction_strip(
        dict(zip(snakemake.params.shown, snakemake.input.stacks, strict=True)),
        snakemake.input.predictions,
        read_frame(snakemake.input.slices),
        snakemake.params.label,
        Reading(geometry=snakemake.params.geometry),
    )
    save_figure(figure, snakemake.output, snakemake.params.title, snakemake.params.caption)
