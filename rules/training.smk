rule pretrain:
    """Train the score network of a study from energies and forces; goes on where an interrupted run stopped."""
    input:
        structures=pretraining_structures,
        molecules=of_trained_targets("results/{system}/{target}/molecule.npz"),
        start=start_file,
    output:
        checkpoint="results/{system}/model/pretrained.pt",
        history="results/{system}/model/pretraining_history.csv",
        training="results/{system}/model/pretraining.json",
    log:
        "results/logs/pretrain/{system}.log",
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("pretrain"),
        runtime=minutes("pretrain"),
    params:
        kind=setting("kind"),
        targets=trained_targets,
        model=setting("model"),
        process=setting("process"),
        pretraining=setting("pretraining"),
        training=pretraining_settings,
        temperature_K=setting("temperature_K"),
        partial="results/{system}/model/pretrained.partial.pt",
    script:
        "../workflow_scripts/pretrain.py"


rule train:
    """Train the score network of a study; goes on where an interrupted run stopped."""
    input:
        dataset="results/{system}/dataset.npz",
        pretrained=pretrained_file,
        kept=kept_files,
        molecules=of_trained_targets("results/{system}/{target}/molecule.npz"),
    output:
        checkpoint="results/{system}/model/checkpoint.pt",
        history="results/{system}/model/history.csv",
        training="results/{system}/model/training.json",
    log:
        "results/logs/train/{system}.log",
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("train"),
        runtime=minutes("train"),
    params:
        kind=setting("kind"),
        targets=trained_targets,
        model=setting("model"),
        process=setting("process"),
        training=training_settings,
        temperature_K=setting("temperature_K"),
        partial="results/{system}/model/checkpoint.partial.pt",
    script:
        "../workflow_scripts/train.py"
