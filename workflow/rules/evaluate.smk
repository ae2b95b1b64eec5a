rule predict:
    input:
        weights="<results>/models/{model}/fold-{fold}/seed-{seed}/weights.safetensors",
        run="<results>/models/{model}/fold-{fold}/seed-{seed}/run.json",
        slices=slices_of("test"),
        stacks=stored_slices("test"),
        point=lambda wildcards: chosen_points(wildcards.model, [wildcards.fold], wildcards.seed),
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
        point=planned(experiment.point),
        probabilities=planned(experiment.keeps_probabilities),
        mirroring=planned(experiment.mirroring),
        precision=planned(experiment.precision),
        device=planned(experiment.device),
        code=code_digest("predict"),
    message:
        "Predicting the test studies with {wildcards.model}, fold {wildcards.fold}, seed {wildcards.seed}"
    script:
        "../scripts/predict.py"


use rule predict as predict_validation with:
    input:
        weights="<results>/models/{model}/fold-{fold}/seed-{seed}/weights.safetensors",
        run="<results>/models/{model}/fold-{fold}/seed-{seed}/run.json",
        slices=slices_of("validation"),
        stacks=stored_slices("validation"),
        point=[],
    output:
        directory("<results>/validation/{model}/fold-{fold}/seed-{seed}"),
    log:
        "<logs>/predict_validation/{model}/fold-{fold}/seed-{seed}.log",
    params:
        point={},
        probabilities=True,
        mirroring=planned(experiment.mirroring),
        precision=planned(experiment.precision),
        device=planned(experiment.device),
        code=code_digest("predict"),
    message:
        "Predicting the validation studies with {wildcards.model}, fold {wildcards.fold}, seed {wildcards.seed}"


rule choose_operating_point:
    input:
        predictions=validation_of_members,
        references=lambda wildcards: sources(experiment.references(wildcards.fold, "validation")),
    output:
        "<results>/models/{model}/fold-{fold}/seed-{seed}/operating_point.json",
    log:
        "<logs>/choose_operating_point/{model}/fold-{fold}/seed-{seed}.log",
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        point=planned(experiment.point),
        studies=lambda wildcards: experiment.subset(wildcards.fold, "validation"),
        reading=experiment.mask_reading,
        content=lambda wildcards: experiment.contents(experiment.references(wildcards.fold, "validation")),
        code=code_digest("choose_operating_point"),
    message:
        "Choosing the operating point of {wildcards.model}, fold {wildcards.fold}, seed {wildcards.seed}"
    script:
        "../scripts/choose_operating_point.py"


rule average:
    input:
        predictions=lambda wildcards: members_of(experiment.member_runs(wildcards.model, wildcards.fold)),
        masks=lambda wildcards: sources(experiment.masks_of_members(wildcards.model, wildcards.fold)),
        point=lambda wildcards: chosen_points(wildcards.model, [wildcards.fold], wildcards.seed),
    output:
        directory("<results>/predictions/{model}/fold-{fold}/seed-{seed}"),
    log:
        "<logs>/average/{model}/fold-{fold}/seed-{seed}.log",
    wildcard_constraints:
        model=one_of(experiment.ensembles),
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        studies=planned(experiment.tested),
        made_here=lambda wildcards: [
            row.made_here for row, _ in experiment.member_runs(wildcards.model, wildcards.fold)
        ],
        point=planned(experiment.point),
        probabilities=planned(experiment.keeps_probabilities),
        reading=experiment.mask_reading,
        content=lambda wildcards: [
            content(path) for path in experiment.masks_of_members(wildcards.model, wildcards.fold)
        ],
        code=code_digest("average"),
    message:
        "Averaging the members of {wildcards.model}, fold {wildcards.fold}"
    script:
        "../scripts/average.py"


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
