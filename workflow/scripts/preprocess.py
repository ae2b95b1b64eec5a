"""Cut one study into slices of the chosen plane."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.findings import refuse_study
    from lesionbench.data.preprocessing import Preprocessing
    from lesionbench.data.reading import Reading
    from lesionbench.data.scans import read_ct, read_mask
    from lesionbench.data.slices import save_stack, stack_slices
    from lesionbench.data.volume import match_grid

    study, reading = snakemake.wildcards.study, Reading(**snakemake.params.reading)
    ct = read_ct(snakemake.input.ct, reading)
    mask = match_grid(study, ct, read_mask(snakemake.input.mask, reading))
    refuse_study(study, ct, mask)
    preprocessing = Preprocessing(plane=snakemake.params.plane, hu_window=snakemake.params.hu_window)
    save_stack(stack_slices(study, ct, mask, preprocessing), snakemake.output[0])
