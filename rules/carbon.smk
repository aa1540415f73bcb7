rule search_crystals:
    """Relax crystals by lot and known ones with an interatomic potential: one part of a random structure search."""
    input:
        known=lambda w: list(CONFIG.studies[w.system].data.search.known),
    output:
        crystals="results/{system}/search/{shard}-of-{shards}.csv",
    log:
        "results/logs/search_crystals/{system}_{shard}-of-{shards}.log",
    wildcard_constraints:
        system=of_kind("carbon"),
    conda:
        "../envs/materials.yaml"
    threads: 1
    resources:
        mem_mb=memory("search_crystals"),
        runtime=minutes("search_crystals"),
    params:
        search=search_settings,
        elements=setting("data", "elements"),
        shard="{shard}",
        shards="{shards}",
    script:
        "../workflow_scripts/search_crystals.py"


rule gather_search:
    """Keep the crystals of a search that are low in enthalpy."""
    input:
        crystals=search_files,
    output:
        crystals="results/{system}/search/crystals.csv",
    log:
        "results/logs/gather_search/{system}.log",
    wildcard_constraints:
        system=of_kind("carbon"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("gather_search"),
        runtime=minutes("gather_search"),
    params:
        window_eV_per_atom=setting("data", "search", "window_eV_per_atom"),
    script:
        "../workflow_scripts/gather_search.py"


rule prepare_crystals:
    """Read crystals, tell them apart, and hold whole prototypes out."""
    input:
        files=crystal_files,
        table=tabled_property,
    output:
        crystals="results/{system}/crystals.npz",
        dataset="results/{system}/dataset.npz",
    log:
        "results/logs/prepare_crystals/{system}.log",
    wildcard_constraints:
        system=of_kind("carbon"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("prepare_crystals"),
        runtime=minutes("prepare_crystals"),
    params:
        kind=setting("kind"),
        data=dividing_settings,
        column=tabled_column,
    script:
        "../workflow_scripts/prepare_crystals.py"


rule label_known:
    """Compute the band gap of known crystals, the first of every prototype, with an electronic-structure code."""
    input:
        crystals="results/{system}/crystals.npz",
    output:
        labels="results/{system}/property/known/{shard}-of-{shards}.json",
    log:
        "results/logs/label_known/{system}_{shard}-of-{shards}.log",
    wildcard_constraints:
        system=of_kind("carbon"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("label_known"),
        runtime=minutes("label_known"),
    params:
        settings=label_settings,
        shard="{shard}",
        shards="{shards}",
        cache="results/cache/band_gaps",
    script:
        "../workflow_scripts/label_known.py"


rule gather_labels:
    """Give all crystals the label of their prototype."""
    input:
        crystals="results/{system}/crystals.npz",
        labels=known_label_files,
    output:
        crystals="results/{system}/property/crystals.npz",
        dataset="results/{system}/property/dataset.npz",
    log:
        "results/logs/gather_labels/{system}.log",
    wildcard_constraints:
        system=of_kind("carbon"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("gather_labels"),
        runtime=minutes("gather_labels"),
    params:
        settings=label_settings,
        column=setting("property", "column"),
    script:
        "../workflow_scripts/gather_labels.py"


rule tabulate_labels:
    """Write the tables of a study's crystals with their computed band gaps, as data for other studies."""
    input:
        files=crystal_files,
        crystals="results/{system}/property/crystals.npz",
    output:
        table="results/{system}/property/labelled.csv",
    log:
        "results/logs/tabulate_labels/{system}.log",
    wildcard_constraints:
        system=of_kind("carbon"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("tabulate_labels"),
        runtime=minutes("tabulate_labels"),
    params:
        kind=setting("kind"),
        column=setting("property", "column"),
    script:
        "../workflow_scripts/tabulate_labels.py"


# The same script: the network that tells a property from noised crystals.
use rule train as train_property with:
    input:
        dataset=with_property("dataset.npz"),
        pretrained=[],
        kept=[],
        molecules=[],
    output:
        checkpoint="results/{system}/property/checkpoint.pt",
        history="results/{system}/property/history.csv",
        training="results/{system}/property/training.json",
    log:
        "results/logs/train_property/{system}.log",
    wildcard_constraints:
        system=of_kind("carbon"),
    resources:
        mem_mb=memory("train_property"),
        runtime=minutes("train_property"),
    params:
        kind="carbon_property",
        targets={},
        model=property_network,
        process=setting("process"),
        training=setting("property", "training"),
        temperature_K=setting("temperature_K"),
        partial="results/{system}/property/checkpoint.partial.pt",


rule sample_crystals:
    """Draw crystals of given atoms from the trained model; goes on where an interrupted run stopped."""
    input:
        checkpoint="results/{system}/model/checkpoint.pt",
        property=asked_property_file,
        predictor=asked_predictor_file,
    output:
        samples="results/{system}/{target}/samples.npz",
        structures="results/{system}/{target}/samples.extxyz",
    log:
        "results/logs/sample_crystals/{system}_{target}.log",
    wildcard_constraints:
        system=of_kind("carbon"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("sample_crystals"),
        runtime=minutes("sample_crystals"),
    params:
        kind=setting("kind"),
        property_kind="carbon_property",
        target=drawn_target,
        guidance=asked_guidance,
        units=asked_units,
        sampler=setting("sampler"),
        partial="results/{system}/{target}/samples.partial",
    script:
        "../workflow_scripts/sample_crystals.py"


rule label_crystal:
    """Compute the band gap of one drawn crystal with an electronic-structure code."""
    input:
        samples="results/{system}/{target}/samples.npz",
    output:
        label="results/{system}/{target}/labels/{place}.json",
    log:
        "results/logs/label_crystal/{system}_{target}_{place}.log",
    wildcard_constraints:
        system=of_kind("carbon"),
        place=r"\d+",
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("label_crystal"),
        runtime=minutes("label_crystal"),
    params:
        settings=label_settings,
        seed=setting("property", "labels", "seed"),
        place="{place}",
        cache="results/cache/band_gaps",
    script:
        "../workflow_scripts/label_crystal.py"


use rule label_crystal as label_relaxed with:
    input:
        samples="results/{system}/{target}/relaxed.npz",
    output:
        label="results/{system}/{target}/labels/relaxed_{place}.json",
    log:
        "results/logs/label_relaxed/{system}_{target}_{place}.log",
    params:
        settings=label_settings,
        seed=None,
        place="{place}",
        cache="results/cache/band_gaps",


rule relax_crystals:
    """Relax some drawn crystals with an interatomic potential, by lot."""
    input:
        samples="results/{system}/{target}/samples.npz",
    output:
        relaxed="results/{system}/{target}/relaxed.npz",
        structures="results/{system}/{target}/relaxed.extxyz",
    log:
        "results/logs/relax_crystals/{system}_{target}.log",
    wildcard_constraints:
        system=of_kind("carbon"),
    conda:
        "../envs/materials.yaml"
    threads: 1
    resources:
        mem_mb=memory("relax_crystals"),
        runtime=minutes("relax_crystals"),
    params:
        relaxation=setting("relaxation"),
    script:
        "../workflow_scripts/relax_crystals.py"


rule tabulate_relaxed:
    """Write the relaxed crystals of all targets as one table, as data for other studies."""
    input:
        relaxed=of_examined_targets(relaxed_crystals),
        labels=of_examined_targets(relaxed_label_files),
    output:
        table="results/{system}/relaxed.csv",
    log:
        "results/logs/tabulate_relaxed/{system}.log",
    wildcard_constraints:
        system=of_kind("carbon"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("tabulate_relaxed"),
        runtime=minutes("tabulate_relaxed"),
    params:
        targets=relaxed_targets,
    script:
        "../workflow_scripts/tabulate_relaxed.py"


rule evaluate_crystals:
    """Compare drawn crystals with known prototypes, beside real crystals, displaced ones and random cells."""
    input:
        samples="results/{system}/{target}/samples.npz",
        crystals=with_property("crystals.npz"),
        training="results/{system}/model/training.json",
        property=property_file,
        predictor=predictor_file,
        labels=label_files,
        relaxed=relaxed_crystals,
        relaxed_labels=relaxed_label_files,
        phases=named_phases,
        library=library(
            "crystals.py",
            "evaluation/matching.py",
            "evaluation/phases.py",
            "evaluation/ideal_bonds.py",
            "evaluation/rings.py",
            "systems/carbon_evaluation.py",
            "systems/carbon_predictor.py",
            "systems/carbon_property_evaluation.py",
            "systems/carbon_relaxation.py",
        ),
    output:
        metrics="results/{system}/{target}/metrics.json",
        evaluation="results/{system}/{target}/evaluation.npz",
    log:
        "results/logs/evaluate_crystals/{system}_{target}.log",
    wildcard_constraints:
        system=of_kind("carbon"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("evaluate_crystals"),
        runtime=minutes("evaluate_crystals"),
    params:
        kind=setting("kind"),
        property_kind="carbon_property",
        target=drawn_target,
        column=setting("property", "column"),
        all_asked=all_asked,
        elements=setting("data", "elements"),
        evaluation=setting("evaluation"),
    script:
        "../workflow_scripts/evaluate_crystals.py"


rule figure_crystals:
    """Draw densities, bonding and matches of drawn crystals beside those of known ones."""
    input:
        evaluations=of_targets("results/{system}/{target}/evaluation.npz"),
        samples=of_targets("results/{system}/{target}/samples.npz"),
        library=library("plotting.py", "plotting_crystals.py"),
    output:
        png=report(
            "results/{system}/figures/crystals.png",
            caption="captions.rst",
            category="{system}",
            labels={"content": "crystals"},
        ),
        pdf="results/{system}/figures/crystals.pdf",
        parquet="results/{system}/figures/crystals.parquet",
    log:
        "results/logs/figure_crystals/{system}.log",
    wildcard_constraints:
        system=of_kind("carbon"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_crystals"),
        runtime=minutes("figure_crystals"),
    params:
        targets=setting("targets"),
        caption=(
            "Crystals that were drawn beside those that trained the network and random cells: mass density, share of atoms with"
            " the most neighbours (of carbon: four), root-mean-square distance from the nearest known prototype in units of"
            " (V/N)^(1/3), and samples of the prototypes that are drawn most often, with their shares."
        ),
    script:
        "../workflow_scripts/figure_crystals.py"


rule figure_property:
    """Draw what crystals have of the property that they were asked to have."""
    input:
        evaluations=of_targets("results/{system}/{target}/evaluation.npz"),
        samples=of_targets("results/{system}/{target}/samples.npz"),
        metrics=of_targets("results/{system}/{target}/metrics.json"),
        library=library("plotting.py", "plotting_properties.py", "plotting_crystals.py"),
    output:
        png=report(
            "results/{system}/figures/property.png",
            caption="captions.rst",
            category="{system}",
            labels={"content": "property"},
        ),
        pdf="results/{system}/figures/property.pdf",
        parquet="results/{system}/figures/property.parquet",
    log:
        "results/logs/figure_property/{system}.log",
    wildcard_constraints:
        system=of_kind("carbon"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("figure_property"),
        runtime=minutes("figure_property"),
    params:
        targets=setting("targets"),
        scales=all_scales,
        column=setting("property", "column"),
        caption=(
            "The property that crystals were asked to have (dotted): of the crystals that trained the networks, of samples as a"
            " network tells it, and of samples as the known crystal has it which they match; beside it samples of the prototypes"
            " that are drawn most often, with their shares. Below, what asking costs: shares of samples by the scale of guidance."
        ),
    script:
        "../workflow_scripts/figure_property.py"
