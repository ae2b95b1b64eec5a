"""Write the page that opens the report, the configuration with all defaults, and the checklist for a manuscript."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.frames import read_frame
    from lesionbench.evaluation.comparison import read_comparison
    from lesionbench.files import atomic
    from lesionbench.report.checklist import Facts, checklist
    from lesionbench.report.summary import (
        describe_answer,
        describe_data,
        read_provenance,
        render_summary,
        write_config,
    )
    from lesionbench.report.tables import write_table
    from lesionbench.training.runfile import read_contents

    inputs, params = snakemake.input, snakemake.params
    comparison = read_comparison(inputs.comparison)
    page = render_summary(
        config=params.config,
        labels=params.labels,
        name=params.data,
        elsewhere=params.elsewhere,
        answer=describe_answer(comparison),
        data=describe_data(inputs.studies, inputs.slices, inputs.splits),
        provenance=read_provenance(params.trainings, inputs.records, inputs.weights, params.all_labels, inputs.methods),
    )
    with atomic(snakemake.output.page) as path:
        path.write_text(page, encoding="utf-8")
    write_config(params.config, params.reference, params.sweeps, snakemake.output.config)
    facts = Facts(
        params.config,
        params.labels,
        params.elsewhere,
        comparison,
        read_frame(inputs.studies),
        [read_frame(path) for path in inputs.splits],
        [read_contents(path, ("environment", "device")) for path in [*inputs.records, *inputs.methods]],
    )
    write_table(checklist(facts), snakemake.output.checklist)
