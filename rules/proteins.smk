rule read_trajectory:
    """Read one run of a user's own molecular dynamics of a protein: the backbone of the target's residues."""
    input:
        frames=run_files,
        topology=run_topology,
        molecule="results/{system}/{target}/molecule.npz",
    output:
        frames="results/{system}/{target}/trajectory/{replica}.npz",
    log:
        "results/logs/read_trajectory/{system}_{target}_{replica}.log",
    wildcard_constraints:
        system=proteins_with("trajectory"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("read_trajectory"),
        runtime=minutes("read_trajectory"),
    params:
        trajectory=run_settings,
    script:
        "../workflow_scripts/read_trajectory.py"


rule evaluate_protein:
    """Compare the samples of a protein with its held-out replica, the noise floor and other sequences."""
    input:
        samples="results/{system}/{target}/samples.npz",
        dataset="results/{system}/dataset.npz",
        reference="results/{system}/{target}/reference.npz",
        floor=floor_file,
        molecule="results/{system}/{target}/molecule.npz",
        molecules=of_trained_targets("results/{system}/{target}/molecule.npz"),
        training="results/{system}/model/training.json",
        pretraining=pretraining_record,
        exploration=exploration_file,
        runs=folding_runs,
        library=library(
            "data/backbone_frames.py",
            "evaluation/backbone_atoms.py",
            "evaluation/backbone_validity.py",
            "evaluation/folding.py",
            "evaluation/landscape.py",
            "evaluation/proteins.py",
            "evaluation/statistics.py",
            "evaluation/superposition.py",
            "evaluation/tica.py",
            "evaluation/torsions.py",
            "systems/metrics.py",
            "systems/evaluation_arrays.py",
            "systems/series.py",
            "systems/yardstick.py",
            "systems/protein_evaluation.py",
            "systems/protein_folding.py",
            "systems/protein_states.py",
        ),
    output:
        metrics="results/{system}/{target}/metrics.json",
        evaluation="results/{system}/{target}/evaluation.npz",
    log:
        "results/logs/evaluate_protein/{system}_{target}.log",
    wildcard_constraints:
        system=proteins_with("simulate", "trajectory"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("evaluate_protein"),
        runtime=minutes("evaluate_protein"),
    params:
        evaluation=evaluation_settings,
        trained=trained_targets,
        temperature_K=setting("temperature_K"),
    script:
        "../workflow_scripts/evaluate_protein.py"


rule interpolate_states:
    """Connect two known structures by a path through the latent space, beside that of residues moved straight."""
    input:
        checkpoint="results/{system}/model/checkpoint.pt",
        topology="results/{system}/{target}/topology.pdb",
        molecule="results/{system}/{target}/molecule.npz",
    output:
        path="results/{system}/{target}/path.npz",
        trajectory="results/{system}/{target}/path.xtc",
    log:
        "results/logs/interpolate_states/{system}_{target}.log",
    wildcard_constraints:
        system=proteins_with("structures"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("interpolate_states"),
        runtime=minutes("interpolate_states"),
    params:
        kind=setting("kind"),
        interpolation=setting("interpolation"),
    script:
        "../workflow_scripts/interpolate_states.py"


rule evaluate_states:
    """Compare the samples of a protein with its known structures, beside the first of them with noise."""
    input:
        samples="results/{system}/{target}/samples.npz",
        molecule="results/{system}/{target}/molecule.npz",
        training="results/{system}/model/training.json",
        path=path_file,
        transition=transition_files,
        library=library(
            "data/protein_trajectories.py",
            "data/transitions.py",
            "evaluation/backbone_atoms.py",
            "evaluation/backbone_validity.py",
            "evaluation/proteins.py",
            "evaluation/statistics.py",
            "evaluation/superposition.py",
            "systems/metrics.py",
            "systems/protein_evaluation.py",
            "systems/protein_path.py",
            "systems/protein_path_evaluation.py",
            "systems/protein_states.py",
        ),
    output:
        metrics="results/{system}/{target}/metrics.json",
        evaluation="results/{system}/{target}/evaluation.npz",
    log:
        "results/logs/evaluate_states/{system}_{target}.log",
    wildcard_constraints:
        system=proteins_with("structures"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("evaluate_states"),
        runtime=minutes("evaluate_states"),
    params:
        evaluation=evaluation_settings,
        transition=setting("targets", "{target}", "transition"),
        is_trained=lambda wildcards: wildcards.target in trained_targets(wildcards),
    script:
        "../workflow_scripts/evaluate_states.py"


rule condense_frames:
    """Condense a replica into N, CA and C of its residues, as they are bundled with the project."""
    input:
        frames="results/{system}/{target}/simulation/{replica}.npz",
    output:
        corners="results/{system}/{target}/bundled_{replica}.npz",
        made_with="results/{system}/{target}/bundled_{replica}.json",
    log:
        "results/logs/condense_frames/{system}_{target}_{replica}.log",
    wildcard_constraints:
        system=proteins_with("simulate"),
    conda:
        "../envs/simulation.yaml"
    threads: 1
    resources:
        mem_mb=memory("condense_frames"),
        runtime=minutes("condense_frames"),
    params:
        made_with=lambda w: simulation_settings(
            CONFIG.studies[w.system], w.target, w.replica
        ),
    script:
        "../workflow_scripts/condense_frames.py"
