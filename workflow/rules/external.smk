wildcard_constraints:
    external="[^/]+",


use rule inventory as inventory_external with:
    input:
        ct=in_set("scans", sources),
        masks=in_set("masks", sources),
        registry=in_set("registry", given),
        known=["<results>/dataset/studies.csv", "<results>/dataset/fingerprints.npz"],
    output:
        studies="<results>/external/{external}/dataset/studies.csv",
        classes="<results>/external/{external}/dataset/classes.csv",
        findings="<results>/external/{external}/dataset/findings.csv",
        fingerprints="<results>/external/{external}/dataset/fingerprints.npz",
    log:
        "<logs>/external/{external}/inventory.log",
    params:
        root=in_set("root"),
        studies=in_set("listing"),
        categories=in_set("categories"),
        reading=in_set("reading"),
        content=lambda wildcards: experiment.external[wildcards.external].content(),
        code=code_digest("inventory"),
    message:
        "Checking the external set {wildcards.external} and taking its inventory"


use rule preprocess as preprocess_external with:
    input:
        ct=in_set("ct", sources),
        mask=in_set("mask", sources),
    output:
        "<results>/external/{external}/slices/{cut}/{study}.npz",
    log:
        "<logs>/external/{external}/preprocess/{cut}/{study}.log",
    params:
        reading=in_set("study_reading"),
        content=in_set("content"),
        plane=planned(experiment.plane),
        hu_window=planned(experiment.hu_window),
        code=code_digest("preprocess"),
    message:
        "Cutting {wildcards.study} of {wildcards.external} into slices: {wildcards.cut}"


use rule gather as gather_external with:
    input:
        planned(external_stacks),
    output:
        "<results>/external/{external}/slices/{cut}.csv",
    log:
        "<logs>/external/{external}/gather/{cut}.log",
    params:
        studies=in_set("names"),
        code=code_digest("gather"),
    message:
        "Listing the slices of {wildcards.external}"


use rule predict as predict_external with:
    input:
        weights="<results>/models/{model}/fold-{fold}/seed-{seed}/weights.safetensors",
        run="<results>/models/{model}/fold-{fold}/seed-{seed}/run.json",
        slices=lambda wildcards: f"<results>/external/{wildcards.external}/slices/{experiment.cut(wildcards.model)}.csv",
        stacks=where_stored(
            lambda wildcards: external_stacks(wildcards.external, experiment.cut(wildcards.model)),
        ),
        point=lambda wildcards: chosen_points(wildcards.model, [wildcards.fold], wildcards.seed),
    output:
        directory("<results>/external/{external}/predictions/{model}/fold-{fold}/seed-{seed}"),
    log:
        "<logs>/external/{external}/predict/{model}/fold-{fold}/seed-{seed}.log",
    message:
        "Predicting {wildcards.external} with {wildcards.model}, fold {wildcards.fold}, seed {wildcards.seed}"


use rule average as average_external with:
    input:
        predictions=lambda wildcards: members_of(
            experiment.member_external_runs(wildcards.model),
            lambda row, run: row.external_masks(wildcards.external, run.fold, run.seed),
        ),
        masks=lambda wildcards: sources(masks_of_external_members(wildcards)),
        # A point for each fold: their mean is taken.
        point=lambda wildcards: chosen_points(wildcards.model, experiment.folds, wildcards.seed),
    output:
        directory("<results>/external/{external}/predictions/{model}/fold-{fold}/seed-{seed}"),
    log:
        "<logs>/external/{external}/average/{model}/fold-{fold}/seed-{seed}.log",
    params:
        studies=in_set("names"),
        made_here=lambda wildcards: [row.made_here for row, _ in experiment.member_external_runs(wildcards.model)],
        point=planned(experiment.point),
        probabilities=planned(experiment.keeps_probabilities),
        reading=in_set("mask_reading"),
        content=lambda wildcards: [content(path) for path in masks_of_external_members(wildcards)],
        code=code_digest("average"),
    message:
        "Averaging the members of {wildcards.model} on {wildcards.external}"


use rule evaluate as evaluate_external with:
    input:
        predictions=external_masks_of,
        masks=in_set("masks_from_elsewhere", sources),
        references=in_set("masks", sources),
    output:
        studies="<results>/external/{external}/metrics/{model}/fold-{fold}/seed-{seed}/studies.csv",
        slices="<results>/external/{external}/metrics/{model}/fold-{fold}/seed-{seed}/slices.csv",
    log:
        "<logs>/external/{external}/evaluate/{model}/fold-{fold}/seed-{seed}.log",
    params:
        studies=in_set("names"),
        plane=lookup(within=settings, dpath="preprocessing/plane"),
        scoring=experiment.scoring,
        reading=in_set("mask_reading"),
        content=in_set("scored_content"),
        code=code_digest("evaluate"),
    message:
        "Scoring {wildcards.model} on {wildcards.external}, fold {wildcards.fold}, seed {wildcards.seed}"


use rule compare as compare_external with:
    input:
        **of_sweeps,
        metrics=lambda wildcards: of_runs(
            f"<results>/external/{wildcards.external}/metrics/{{model}}/fold-{{fold}}/seed-{{seed}}/studies.csv",
            experiment.external_runs(wildcards.external),
        ),
        slices=lambda wildcards: of_runs(
            f"<results>/external/{wildcards.external}/metrics/{{model}}/fold-{{fold}}/seed-{{seed}}/slices.csv",
            experiment.external_runs(wildcards.external),
        ),
        inventory="<results>/external/{external}/dataset/studies.csv",
    output:
        **comparison_tables("<results>/external/{external}/tables", category="External sets", subcategory=set_label),
        data="<results>/external/{external}/comparison.json",
    log:
        "<logs>/external/{external}/compare.log",
    params:
        runs=lambda wildcards: experiment.external_trainings(wildcards.external),
        labels=in_set("labels"),
        reference=[],
        resamples=lookup(within=settings, dpath="evaluation/resamples"),
        scoring=experiment.scoring,
        patients=in_set("patients"),
        test_share=0,
        sweeps=experiment.sweeps,
        sweep_trainings=[list(run) for run in experiment.sweep_trainings],
        studies=in_set("words"),
        code=code_digest("compare"),
    message:
        "Comparing the models on {wildcards.external}"


use rule plot as plot_external with:
    input:
        comparison="<results>/external/{external}/comparison.json",
    output:
        figure(
            "{figure}",
            lambda wildcards: {"result": entry("Figure", wildcards.figure)},
            "<results>/external/{external}/figures",
            category="External sets",
            subcategory=set_label,
        ),
    log:
        "<logs>/external/{external}/plot/{figure}.log",
    params:
        function=lambda wildcards: FIGURES[wildcards.figure].function,
        reads=lambda wildcards: list(FIGURES[wildcards.figure].reads),
        title=lambda wildcards: FIGURES[wildcards.figure].title,
        caption=lambda wildcards: caption(wildcards.figure, experiment, experiment.external[wildcards.external].words),
        code=lambda wildcards: code_digest("plot", FIGURES[wildcards.figure].code),
    message:
        "Drawing {wildcards.figure} of {wildcards.external}"


rule compare_sets:
    input:
        comparison="<results>/comparison.json",
        sets=collect("<results>/external/{external}/comparison.json", external=experiment.external),
    output:
        table("external_sets"),
    log:
        "<logs>/compare_sets.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        data=experiment.dataset_label,
        sets=experiment.set_labels,
        patients=experiment.patients_by_set,
        studies=experiment.test_studies(),
        code=code_digest("compare_sets"),
    message:
        "Comparing the data set with the external sets"
    script:
        "../scripts/compare_sets.py"
