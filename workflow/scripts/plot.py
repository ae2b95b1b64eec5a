"""Draw one figure of the catalogue."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.report.plot import draw
    from lesionbench.report.style import save_figure

    files, params = dict(snakemake.input.items()), dict(snakemake.params.items())
    drawn = draw(params["function"], params["reads"], files, params)
    save_figure(drawn, snakemake.output, params["title"], params["caption"])
