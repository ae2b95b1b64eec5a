"""Find the lungs of the scans of a part."""

from lesionbench.logs import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from lesionbench.data.frames import write_frame
    from lesionbench.data.reading import Reading
    from lesionbench.segmentation.found_lungs import find_part_lungs
    from lesionbench.segmentation.inputs import Scan

    params, table = snakemake.params, Path(snakemake.output[0])
    scans = [
        Scan(name, Path(path), series) for (name, series), path in zip(params.scans, snakemake.input.ct, strict=True)
    ]
    write_frame(find_part_lungs(scans, Reading(**params.reading), params.code, table.parent), table)
