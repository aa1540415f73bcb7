# On the machine where Snakemake runs: nodes of many clusters have no network.
localrules:
    download,


rule download:
    """Fetch a file from elsewhere and check it; DIG_DATA_MIRROR names a folder that is looked into first."""
    output:
        file="{download}",
    log:
        "results/logs/download/{download}.log",
    wildcard_constraints:
        download="|".join(map(re.escape, CONFIG.downloads)) or r"(?!)",
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        entry=lambda wildcards: plain(CONFIG.downloads[wildcards.download]),
    script:
        "../workflow_scripts/download.py"


rule build:
    """Build a molecule: topology, starting structure and the graph that the network sees."""
    input:
        sources=target_sources,
    output:
        topology="results/{system}/{target}/topology.pdb",
        molecule="results/{system}/{target}/molecule.npz",
    log:
        "results/logs/build/{system}_{target}.log",
    wildcard_constraints:
        system=of_kind("molecule"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("build"),
        runtime=minutes("build"),
    params:
        kind=setting("kind"),
        target=lambda w: as_built(SETTINGS[w.system]["targets"][w.target]),
        data=building_settings,
    script:
        "../workflow_scripts/build.py"


# The same script: what is simulated has all atoms, what is learned and drawn is the backbone.
use rule build as build_protein with:
    output:
        topology="results/{system}/{target}/topology.pdb",
        molecule="results/{system}/{target}/molecule.npz",
        all_atoms="results/{system}/{target}/all_atoms.pdb",
    wildcard_constraints:
        system=proteins_with("simulate"),


# The same script: known structures and the user's frames may be backbones, and nothing is simulated.
use rule build as build_states with:
    wildcard_constraints:
        system=proteins_with("structures", "trajectory"),


rule simulate:
    """Run one replica of molecular dynamics; goes on where an interrupted run stopped."""
    input:
        topology=simulated_topology,
        molecule="results/{system}/{target}/molecule.npz",
    output:
        frames="results/{system}/{target}/simulation/{replica}.npz",
        trajectory="results/{system}/{target}/simulation/{replica}.xtc",
    log:
        "results/logs/simulate/{system}_{target}_{replica}.log",
    # Before the competitor, which runs beside the training: the training waits for these.
    priority: 10
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("simulate"),
        runtime=minutes("simulate"),
    params:
        kind=setting("kind"),
        data=dynamics_settings,
        temperature_K=setting("temperature_K"),
        partial="results/{system}/{target}/simulation/{replica}.partial",
    script:
        "../workflow_scripts/simulate.py"


# The same script: plain dynamics of equal cost, a rule of its own since it may wait for the replicas.
use rule simulate as simulate_competitor with:
    output:
        frames="results/{system}/{target}/simulation/competitor.npz",
        trajectory="results/{system}/{target}/simulation/competitor.xtc",
    log:
        "results/logs/simulate/{system}_{target}_competitor.log",
    priority: 0
    resources:
        mem_mb=memory("simulate"),
        runtime=minutes("simulate_competitor"),
    params:
        kind=setting("kind"),
        data=lambda w: dynamics_settings(w, "competitor"),
        temperature_K=setting("temperature_K"),
        partial="results/{system}/{target}/simulation/competitor.partial",


rule simulate_pretraining:
    """Find structures for the pre-training and ask the force field about them; every call is counted."""
    input:
        topology=simulated_topology,
        molecule="results/{system}/{target}/molecule.npz",
    output:
        structures="results/{system}/{target}/simulation/pretraining.npz",
    log:
        "results/logs/simulate_pretraining/{system}_{target}.log",
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("simulate_pretraining"),
        runtime=minutes("simulate_pretraining"),
    params:
        kind=setting("kind"),
        study=exploration_settings,
        partial="results/{system}/{target}/simulation/pretraining.partial",
    script:
        "../workflow_scripts/simulate_pretraining.py"


rule prepare:
    """Collect the frames of all targets that train the network."""
    input:
        frames=training_files,
        weights=weight_files(held_out=False),
        topologies=of_trained_targets("results/{system}/{target}/topology.pdb"),
        molecules=of_trained_targets("results/{system}/{target}/molecule.npz"),
    output:
        dataset="results/{system}/dataset.npz",
    log:
        "results/logs/prepare/{system}.log",
    wildcard_constraints:
        system=of_kind("molecule", "protein"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("prepare"),
        runtime=minutes("prepare"),
    params:
        kind=setting("kind"),
        data=reading_settings,
        subset=setting("data", "subset"),
        forces=force_settings,
        targets=trained_targets,
        temperature_K=setting("temperature_K"),
    script:
        "../workflow_scripts/prepare.py"


rule prepare_reference:
    """Set aside the frames of a target that the network never sees."""
    input:
        frames=held_out_files,
        weights=weight_files(held_out=True),
        topology="results/{system}/{target}/topology.pdb",
        molecule="results/{system}/{target}/molecule.npz",
    output:
        reference="results/{system}/{target}/reference.npz",
    log:
        "results/logs/prepare_reference/{system}_{target}.log",
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("prepare_reference"),
        runtime=minutes("prepare_reference"),
    params:
        kind=setting("kind"),
        data=reading_settings,
        temperature_K=setting("temperature_K"),
    script:
        "../workflow_scripts/prepare_reference.py"


# The same script, for targets that are held out: what trains the network must not change with them.
use rule prepare_reference as prepare_floor with:
    input:
        frames=floor_files,
        weights=weight_files(held_out=False),
        topology="results/{system}/{target}/topology.pdb",
        molecule="results/{system}/{target}/molecule.npz",
    output:
        reference="results/{system}/{target}/floor.npz",
    log:
        "results/logs/prepare_floor/{system}_{target}.log",


rule condense_reference:
    """Condense long replicas into a torsion histogram that other studies are held against (data/bundled)."""
    input:
        frames=lambda w: [
            *replica_files(w.system, w.target, held_out=False),
            *replica_files(w.system, w.target, held_out=True),
        ],
        molecule="results/{system}/{target}/molecule.npz",
    output:
        histogram="results/{system}/{target}/tight_reference.npz",
    log:
        "results/logs/condense_reference/{system}_{target}.log",
    wildcard_constraints:
        target="|".join({t for study in CONFIG.studies.values() for t in study.targets}),
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=memory("condense_reference"),
        runtime=minutes("condense_reference"),
    params:
        data=setting("data"),
        temperature_K=setting("temperature_K"),
    script:
        "../workflow_scripts/condense_reference.py"
