"""Write the page that opens the report, and the configuration with all defaults."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.evaluation.comparison import read_comparison
    from lesionbench.files import atomic
    from lesionbench.report.summary import (
        describe_answer,
        describe_data,
        read_provenance,
        render_summary,
        write_config,
    )

    inputs, params = snakemake.input, snakemake.params
    page = render_summary(
        config=params.config,
        labels=params.labels,
        elsewhere=params.elsewhere,
        answer=describe_answer(read_comparison(inputs.comparison)),
        data=describe_data(inputs.studies, inputs.slices, inputs.splits),
        provenance=read_provenance(params.trainings, inputs.records, inputs.weights, params.all_labels, inputs.methods),
    )
    with atomic(snakemake.output.page) as path:
        path.write_text(page, encoding="utf-8")
    write_config(params.config, params.reference, snakemake.output.config, params.sweeps)
