"""Cut one study into slices of the chosen plane."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.preprocessing import Preprocessing
    from lesionbench.data.reading import Reading
    from lesionbench.data.scans import read_ct, read_mask
    from lesionbench.data.slices import save_stack, stack_slices

    reading = Reading(**snakemake.params.reading)
    stack = stack_slices(
        snakemake.wildcards.study,
        read_ct(snakemake.input.ct, reading),
        read_mask(snakemake.input.mask, reading),
        Preprocessing(plane=snakemake.params.plane, hu_window=snakemake.params.hu_window),
    )
    save_stack(stack, snakemake.output[0])
