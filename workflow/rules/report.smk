rule slice_table:
    input:
        studies="<results>/dataset/studies.csv",
        splits=collect("<results>/splits/fold-{fold}.csv", fold=experiment.folds),
    output:
        table("slices_by_subset", "Data"),
    log:
        "<logs>/slice_table.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        plane=lookup(within=settings, dpath="preprocessing/plane"),
        paper=bool(reference_results),
        code=code_digest("slice_table"),
    message:
        "Counting slices by subset"
    script:
        "../scripts/slice_table.py"


rule compare:
    input:
        metrics=of_runs("<results>/metrics/{model}/fold-{fold}/seed-{seed}/studies.csv"),
        slices=of_runs("<results>/metrics/{model}/fold-{fold}/seed-{seed}/slices.csv"),
    output:
        comparison=table("comparison", "Comparison"),
        pairwise=table("pairwise", "Comparison"),
        per_study=table("per_study", "Comparison"),
        metrics=table("metrics", "Comparison"),
        readings=table("readings", "Comparison"),
    log:
        "<logs>/compare.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        runs=[list(run) for run in experiment.runs],
        labels=labels,
        reference=reference_results,
        resamples=lookup(within=settings, dpath="evaluation/resamples"),
        studies=tested,
        code=code_digest("compare"),
    message:
        "Comparing the models"
    script:
        "../scripts/compare.py"


rule compare_cost:
    input:
        records=of_runs("<results>/models/{model}/fold-{fold}/seed-{seed}/run.json", experiment.trainings),
        predictions=of_runs("<results>/predictions/{model}/fold-{fold}/seed-{seed}", experiment.trainings),
        stacks=collect("<results>/slices/{study}.npz", study=experiment.annotated),
    output:
        table("cost", "Comparison"),
    log:
        "<logs>/compare_cost.log",
    conda:
        "../../envs/torch.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        runs=[list(run) for run in experiment.trainings],
        labels=trained_labels,
        code=code_digest("compare_cost"),
    message:
        "Comparing the cost of the models"
    script:
        "../scripts/compare_cost.py"


rule plot_class_pie:
    input:
        classes="<results>/dataset/classes.csv",
    output:
        figure("class_pie", "Data"),
    log:
        "<logs>/plot_class_pie.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        code=code_digest("plot_class_pie"),
    message:
        "Drawing the classes of the data set"
    script:
        "../scripts/plot_class_pie.py"


rule plot_example_slice:
    input:
        stacks=shown_stacks,
    output:
        figure("example_slice", "Data"),
    log:
        "<logs>/plot_example_slice.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        studies=shown_tested,
        code=code_digest("plot_example_slice"),
    message:
        "Drawing a slice and its lesions"
    script:
        "../scripts/plot_example_slice.py"


rule plot_learning_curves:
    input:
        histories=of_runs("<results>/models/{model}/fold-{fold}/seed-{seed}/history.csv", experiment.trainings),
    output:
        figure("learning_curves", "Training"),
    log:
        "<logs>/plot_learning_curves.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        runs=[list(run) for run in experiment.trainings],
        labels=trained_labels,
        code=code_digest("plot_learning_curves"),
    message:
        "Drawing the learning curves"
    script:
        "../scripts/plot_learning_curves.py"


rule plot_predictions:
    input:
        stacks=shown_stacks,
        predictions=lambda wildcards: masks_of(wildcards.model, shown),
        slices=f"<results>/metrics/{{model}}/{shown}/slices.csv",
    output:
        figure(
            "predictions/{model}",
            "Predictions",
            caption="predictions",
            labels=lambda wildcards: {"model": Verbatim(labels[wildcards.model])},
        ),
    log:
        "<logs>/plot_predictions/{model}.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        label=lambda wildcards: labels[wildcards.model],
        studies=lambda wildcards: shown_run if wildcards.model in trained_labels else shown_tested,
        code=code_digest("plot_predictions"),
    message:
        "Drawing predictions of {wildcards.model}"
    script:
        "../scripts/plot_predictions.py"


rule plot_model_grid:
    input:
        stacks=shown_stacks,
        predictions=[masks_of(model, shown) for model in labels],
        slices=collect(f"<results>/metrics/{{model}}/{shown}/slices.csv", model=labels),
    output:
        first=figure("model_grid_1", "Predictions", caption="model_grid", labels={"model": "All models, 1 of 2"}),
        second=figure("model_grid_2", "Predictions", caption="model_grid", labels={"model": "All models, 2 of 2"}),
    log:
        "<logs>/plot_model_grid.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        labels=labels,
        studies=shown_run,
        slices=lookup(within=settings, dpath="figures/slices"),
        code=code_digest("plot_model_grid"),
    message:
        "Drawing predictions of all models"
    script:
        "../scripts/plot_model_grid.py"


rule plot_dice_by_model:
    input:
        comparison="<results>/tables/comparison.csv",
        per_study="<results>/tables/per_study.csv",
    output:
        figure("dice_by_model", "Comparison"),
    log:
        "<logs>/plot_dice_by_model.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        studies=tested,
        code=code_digest("plot_dice_by_model"),
    message:
        "Drawing Dice by model"
    script:
        "../scripts/plot_dice_by_model.py"


rule plot_pairwise_differences:
    input:
        pairwise="<results>/tables/pairwise.csv",
    output:
        figure("pairwise_differences", "Comparison"),
    log:
        "<logs>/plot_pairwise_differences.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        studies=tested,
        code=code_digest("plot_pairwise_differences"),
    message:
        "Drawing differences between models"
    script:
        "../scripts/plot_pairwise_differences.py"


rule plot_rank_stability:
    input:
        per_study="<results>/tables/per_study.csv",
    output:
        figure("rank_stability", "Comparison"),
    log:
        "<logs>/plot_rank_stability.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        labels=labels,
        resamples=lookup(within=settings, dpath="evaluation/resamples"),
        studies=tested,
        code=code_digest("plot_rank_stability"),
    message:
        "Drawing how stable the ranks are"
    script:
        "../scripts/plot_rank_stability.py"


rule plot_volume_agreement:
    input:
        metrics=of_runs("<results>/metrics/{model}/fold-{fold}/seed-{seed}/studies.csv"),
    output:
        figure("volume_agreement", "Comparison"),
    log:
        "<logs>/plot_volume_agreement.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        runs=[list(run) for run in experiment.runs],
        labels=labels,
        studies=tested,
        code=code_digest("plot_volume_agreement"),
    message:
        "Drawing the agreement of lesion volumes"
    script:
        "../scripts/plot_volume_agreement.py"


rule plot_dice_by_cost:
    input:
        comparison="<results>/tables/comparison.csv",
        cost="<results>/tables/cost.csv",
    output:
        figure("dice_by_cost", "Comparison"),
    log:
        "<logs>/plot_dice_by_cost.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        studies=tested,
        code=code_digest("plot_dice_by_cost"),
    message:
        "Drawing Dice over cost"
    script:
        "../scripts/plot_dice_by_cost.py"


rule plot_dice_readings:
    input:
        readings="<results>/tables/readings.csv",
    output:
        figure("dice_readings", "Comparison"),
    log:
        "<logs>/plot_dice_readings.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        studies=tested,
        code=code_digest("plot_dice_readings"),
    message:
        "Drawing the readings of mean Dice"
    script:
        "../scripts/plot_dice_readings.py"


rule summary:
    input:
        studies="<results>/dataset/studies.csv",
        splits=collect("<results>/splits/fold-{fold}.csv", fold=experiment.folds),
        slices="<results>/tables/slices_by_subset.csv",
        comparison="<results>/tables/comparison.csv",
        pairwise="<results>/tables/pairwise.csv",
        per_study="<results>/tables/per_study.csv",
        records=of_runs("<results>/models/{model}/fold-{fold}/seed-{seed}/run.json", experiment.trainings),
        weights=of_runs("<results>/models/{model}/fold-{fold}/seed-{seed}/weights.safetensors", experiment.trainings),
    output:
        report(
            "<results>/summary.html",
            caption="../report/summary.rst",
            category="At a glance",
            labels={"result": "Summary"},
        ),
    log:
        "<logs>/summary.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=10,
    params:
        config=configuration(),
        labels=labels,
        trainings=[list(run) for run in experiment.trainings],
        template=sha256(SCRIPTS.parent / "report" / "summary.html.jinja"),
        code=code_digest("summary"),
    message:
        "Writing the summary"
    script:
        "../scripts/summary.py"
