"""Try all networks on slices of the sizes that they will get, before anything is trained."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.preprocessing import Preprocessing
    from lesionbench.data.reading import Reading
    from lesionbench.models.entry import ModelEntry
    from lesionbench.models.trial import Trial, slice_sizes, write_trials

    params = snakemake.params
    trials = {
        model: Trial(**(settings | {"entry": ModelEntry(**settings["entry"])}))
        for model, settings in params.models.items()
    }
    preprocessing = Preprocessing(plane=params.plane, spacing=params.spacing, size=params.size)
    sizes = slice_sizes(snakemake.input.ct, preprocessing, Reading(**params.reading))
    write_trials(trials, sizes, snakemake.output[0])
