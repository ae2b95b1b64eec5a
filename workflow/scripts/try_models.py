"""Try all networks on slices of the sizes that they will get, before anything is trained."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.reading import Reading
    from lesionbench.models.entry import ModelEntry
    from lesionbench.models.trial import Trial, slice_sizes, write_trials

    trials = {
        model: Trial(**(settings | {"entry": ModelEntry(**settings["entry"])}))
        for model, settings in snakemake.params.models.items()
    }
    sizes = slice_sizes(snakemake.input.ct, snakemake.params.plane, Reading(**snakemake.params.reading))
    write_trials(trials, sizes, snakemake.output[0])
