"""Cut one study into slices of the chosen plane."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.nifti import read_ct, read_mask
    from lesionbench.data.preprocessing import Preprocessing
    from lesionbench.data.slices import save_stack, stack_slices

    stack = stack_slices(
        snakemake.wildcards.study,
        read_ct(snakemake.input.ct),
        read_mask(snakemake.input.mask),
        Preprocessing(plane=snakemake.params.plane, hu_window=snakemake.params.hu_window),
    )
    save_stack(stack, snakemake.output[0])
