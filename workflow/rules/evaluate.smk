rule predict:
    input:
        weights="<results>/models/{model}/fold-{fold}/seed-{seed}/weights.safetensors",
        run="<results>/models/{model}/fold-{fold}/seed-{seed}/run.json",
        test=slices_of("test"),
    output:
        directory("<results>/predictions/{model}/fold-{fold}/seed-{seed}"),
    log:
        "<logs>/predict/{model}/fold-{fold}/seed-{seed}.log",
    wildcard_constraints:
        model=one_of(experiment.networks),
    conda:
        "../../envs/torch.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=growing(8000),
        runtime=60,
    params:
        threshold=lookup(within=settings, dpath="evaluation/threshold"),
        mirroring=planned(experiment.mirroring),
        device=planned(experiment.device),
        code=code_digest("predict"),
    message:
        "Predicting the test studies with {wildcards.model}, fold {wildcards.fold}, seed {wildcards.seed}"
    script:
        "../scripts/predict.py"


rule evaluate:
    input:
        predictions=planned(masks_of),
        masks=lambda wildcards: sources(experiment.masks_from_elsewhere(wildcards.model, wildcards.fold)),
        references=lambda wildcards: sources(experiment.references(wildcards.fold)),
    output:
        studies="<results>/metrics/{model}/fold-{fold}/seed-{seed}/studies.csv",
        slices="<results>/metrics/{model}/fold-{fold}/seed-{seed}/slices.csv",
    log:
        "<logs>/evaluate/{model}/fold-{fold}/seed-{seed}.log",
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        studies=planned(experiment.tested),
        plane=lookup(within=settings, dpath="preprocessing/plane"),
        scoring=experiment.scoring,
        reading=experiment.mask_reading,
        content=planned(experiment.scored_content),
        code=code_digest("evaluate"),
    message:
        "Scoring {wildcards.model}, fold {wildcards.fold}, seed {wildcards.seed}"
    script:
        "../scripts/evaluate.py"
