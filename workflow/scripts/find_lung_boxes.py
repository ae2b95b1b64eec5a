"""Find the box around the lungs in each test study of a fold."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from lesionbench.data.frames import write_frame
    from lesionbench.data.manifest import read_manifest
    from lesionbench.data.slices import load_stack
    from lesionbench.progress import track
    from lesionbench.segmentation.lung_box import box_frame, find_lung_box

    stacks = map(load_stack, track(read_manifest(snakemake.input[0]).values(), "study"))
    write_frame(box_frame((stack.study, find_lung_box(stack)) for stack in stacks), snakemake.output[0])
