"""Set the scores on external sets beside those on the data set."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.evaluation.comparison import read_comparison
    from lesionbench.evaluation.transfer import compare_sets
    from lesionbench.report.external_table import external_table
    from lesionbench.report.tables import write_table

    inputs, params = snakemake.input, snakemake.params
    sets = dict(zip(params.sets.values(), map(read_comparison, inputs.sets), strict=True))
    found = compare_sets(read_comparison(inputs.comparison), sets, params.patients, params.data)
    write_table(external_table(found), snakemake.output)
