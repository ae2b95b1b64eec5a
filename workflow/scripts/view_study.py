"""Write a page to scroll through the worst, the median or the best study, with the contours of all models."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from lesionbench.data.frames import read_frame
    from lesionbench.data.reading import Reading
    from lesionbench.report.viewed_study import ranked_study
    from lesionbench.report.viewer import write_viewer

    inputs, params = snakemake.input, snakemake.params
    shown = ranked_study(
        snakemake.wildcards.rank,
        params.ranks,
        dict(zip(params.shown, inputs.stacks, strict=True)),
        dict(zip(params.labels.values(), inputs.predictions, strict=True)),
        [read_frame(path) for path in inputs.slices],
        Path(snakemake.output[0]).parents[1],
        Reading(geometry=params.geometry),
    )
    write_viewer(shown, snakemake.output[0], largest=5_000_000)  # three of them in a report that people send
