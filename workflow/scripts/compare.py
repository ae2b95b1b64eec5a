"""Compare the models: the comparison as a file, and the tables of an experiment."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.evaluation.comparison import compare_models, write_comparison
    from lesionbench.evaluation.scores import collect_scores
    from lesionbench.evaluation.scoring import Scoring
    from lesionbench.report.comparison_tables import make_tables
    from lesionbench.report.tables import write_table

    inputs, params = snakemake.input, snakemake.params
    comparison = compare_models(
        collect_scores(inputs.metrics, params.runs),
        collect_scores(inputs.slices, params.runs),
        params.labels,
        params.reference,
        params.resamples,
        params.patients,
        params.test_share,
    )
    write_comparison(comparison, snakemake.output.data)
    for name, table in make_tables(comparison, Scoring(**params.scoring)).items():
        write_table(table, snakemake.output.get(name))
