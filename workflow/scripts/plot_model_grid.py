"""Draw slices with the predictions of all models: Figures 10.1 and 10.2."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    import pandas as pd

    from lesionbench.data.frames import read_frame
    from lesionbench.data.reading import Reading
    from lesionbench.report.figures.ct_panels import model_grid, read_views
    from lesionbench.report.shown_slices import listed_slices, varied_slices
    from lesionbench.report.style import save_figure

    scores = [read_frame(path) for path in snakemake.input.slices]
    every = pd.concat(scores)
    stacks = dict(zip(snakemake.params.shown, snakemake.input.stacks, strict=True))
    wanted = snakemake.params.slices
    picks = varied_slices(every) if wanted == "auto" else listed_slices(wanted, every)
    reading = Reading(geometry=snakemake.params.geometry)
    views = read_views(picks, stacks, snakemake.input.predictions, scores, reading)
    labels = list(snakemake.params.labels.values())
    half = (len(views) + 1) // 2
    caption = snakemake.params.caption
    save_figure(model_grid(views[:half], labels), snakemake.output.first, "Predictions of all models, 1 of 2", caption)
    save_figure(model_grid(views[half:], labels), snakemake.output.second, "Predictions of all models, 2 of 2", caption)
