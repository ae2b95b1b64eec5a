# Of probabilities that are kept: `evaluation.probabilities`.
rule find_lung_boxes:
    input:
        f"<results>/slices/{experiment.preprocessing.cut}/fold-{{fold}}/test.csv",
        stacks=where_stored(lambda wildcards: stacks_of(experiment.preprocessing.cut, wildcards.fold, "test")),
    output:
        "<results>/lungs/fold-{fold}.csv",
    log:
        "<logs>/find_lung_boxes/fold-{fold}.log",
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=60,
    params:
        code=code_digest("find_lung_boxes"),
    message:
        "Finding the lungs of the test studies of fold {wildcards.fold}"
    script:
        "../scripts/find_lung_boxes.py"


rule calibrate:
    input:
        predictions=planned(masks_of),
        references=lambda wildcards: sources(experiment.references(wildcards.fold)),
        boxes="<results>/lungs/fold-{fold}.csv",
    output:
        counts="<results>/calibration/{model}/fold-{fold}/seed-{seed}/voxels.csv",
        lesions="<results>/calibration/{model}/fold-{fold}/seed-{seed}/lesions.csv",
    log:
        "<logs>/calibrate/{model}/fold-{fold}/seed-{seed}.log",
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=120,
    params:
        studies=planned(experiment.tested),
        scoring=experiment.lesion_scoring,
        reading=experiment.mask_reading,
        content=lambda wildcards: experiment.contents(experiment.references(wildcards.fold)),
        code=code_digest("calibrate"),
    message:
        "Counting the probabilities of {wildcards.model}, fold {wildcards.fold}, seed {wildcards.seed}"
    script:
        "../scripts/calibrate.py"


rule compare_calibration:
    input:
        counts=made([rules.calibrate.output.counts], experiment.calibrated),
        lesions=made([rules.calibrate.output.lesions], experiment.calibrated),
        boxes=made(rules.find_lung_boxes.output, fold=experiment.folds),
    output:
        table=table("calibration"),
        curves="<results>/calibration/curves.csv",
    log:
        "<logs>/compare_calibration.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        runs=[list(run) for run in experiment.calibrated],
        labels=experiment.calibrated_labels,
        patients=experiment.patients,
        scoring=experiment.lesion_scoring,
        code=code_digest("compare_calibration"),
    message:
        "Comparing the probabilities of the models"
    script:
        "../scripts/compare_calibration.py"
