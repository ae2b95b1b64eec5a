# Scans that no training has seen: those of `segment.scans`, and the studies of the target `severity`. The folder of each
# scan beside the table of its part is no output: a job keeps what an earlier one has finished with the same scan,
# networks, settings and code, as `lesionbench segment` does.
wildcard_constraints:
    scans="severity|segmented",
    part="part-[^/]+",


rule find_lungs:
    input:
        ct=lambda wildcards: sources(scan_set_of(wildcards).part_scans(wildcards.part)),
    output:
        "<results>/{scans}/lungs/{part}.csv",
    log:
        "<logs>/{scans}/find_lungs/{part}.log",
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        scans=lambda wildcards: scan_set_of(wildcards).part_series(wildcards.part),
        reading=lambda wildcards: scan_set_of(wildcards).reading(),
        content=lambda wildcards: scan_set_of(wildcards).part_content(wildcards.part),
        code=code_digest("find_lungs"),
    message:
        "Finding the lungs of {wildcards.scans} scans, {wildcards.part}"
    script:
        "../scripts/find_lungs.py"


rule segment_scans:
    input:
        lungs="<results>/{scans}/lungs/{part}.csv",
        weights=lambda wildcards: of_segmenting("weights.safetensors", wildcards),
        records=lambda wildcards: of_segmenting("run.json", wildcards),
        point=lambda wildcards: of_runs(
            "<results>/models/{model}/fold-{fold}/seed-{seed}/operating_point.json",
            planned(experiment.segmenting_points)(wildcards),
        ),
    output:
        "<results>/{scans}/models/{model}/{part}.csv",
    log:
        "<logs>/{scans}/segment_scans/{model}/{part}.log",
    wildcard_constraints:
        model=one_of(experiment.segmenting),
    conda:
        "../../envs/torch.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=lambda wildcards: 60 * len(planned(experiment.segmenting_runs)(wildcards)),
    params:
        networks=planned(experiment.segmenting_networks),
        point=planned(experiment.point),
        reading=lambda wildcards: scan_set_of(wildcards).reading(),
        code=code_digest("segment_scans"),
    message:
        "Segmenting {wildcards.scans} scans with {wildcards.model}, {wildcards.part}"
    script:
        "../scripts/segment_scans.py"


rule gather_scans:
    input:
        lambda wildcards: collect(
            "<results>/{scans}/models/{model}/{part}.csv",
            scans=wildcards.scans,
            model=wildcards.model,
            part=scan_set_of(wildcards).parts,
        ),
    output:
        "<results>/{scans}/models/{model}/scans.csv",
    log:
        "<logs>/{scans}/gather_scans/{model}.log",
    localrule: True
    conda:
        "../../envs/imaging.yaml"
    params:
        code=code_digest("gather_scans"),
    message:
        "Listing the {wildcards.scans} scans of {wildcards.model}"
    script:
        "../scripts/gather_scans.py"


rule compare_severity:
    input:
        scans=collect("<results>/severity/models/{model}/scans.csv", model=experiment.segmenting),
    output:
        **{name: table(name) for name in ("severity", "severity_pairs", "severity_classes")},
        shares=figure_inputs["shares"],
    log:
        "<logs>/compare_severity.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        labels=experiment.segmenting_labels,
        categories=lambda wildcards: scan_set("severity").classes,
        patients=lambda wildcards: scan_set("severity").patients,
        resamples=lookup(within=settings, dpath="evaluation/resamples"),
        code=code_digest("compare_severity"),
    message:
        "Comparing the share of the lungs involved with the radiologists' classes"
    script:
        "../scripts/compare_severity.py"


# A target of its own: it segments all studies of the data set that no training has seen.
rule severity:
    input:
        rules.compare_severity.output,
        made(rules.plot.output, figure=["share_by_class"]),
