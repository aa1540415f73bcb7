rule sample:
    """Draw structures of a target from the trained model; goes on where an interrupted run stopped."""
    input:
        checkpoint="results/{system}/model/checkpoint.pt",
        topology="results/{system}/{target}/topology.pdb",
        molecule="results/{system}/{target}/molecule.npz",
    output:
        samples="results/{system}/{target}/samples.npz",
        trajectory="results/{system}/{target}/samples.xtc",
    log:
        "results/logs/sample/{system}_{target}.log",
    wildcard_constraints:
        system=with_shards(False),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("sample"),
        runtime=minutes("sample"),
    params:
        kind=setting("kind"),
        sampler=drawing_settings,
        partial="results/{system}/{target}/samples.partial",
    script:
        "../workflow_scripts/sample.py"


# The same script, for studies with `sampler.shards`.
use rule sample as sample_shard with:
    output:
        samples=temp("results/{system}/{target}/samples.shards/{shard}-of-{shards}.npz"),
    log:
        "results/logs/sample/{system}_{target}_{shard}-of-{shards}.log",
    wildcard_constraints:
        system=with_shards(True),
    resources:
        mem_mb=memory("sample"),
        runtime=minutes("sample_shard"),
    params:
        kind=setting("kind"),
        sampler=shard_settings,
        partial="results/{system}/{target}/samples.shards/{shard}-of-{shards}.partial",


rule gather_samples:
    """Put the shards of a target together."""
    input:
        shards=shard_files,
        topology="results/{system}/{target}/topology.pdb",
    output:
        samples="results/{system}/{target}/samples.npz",
        trajectory="results/{system}/{target}/samples.xtc",
    log:
        "results/logs/gather_samples/{system}_{target}.log",
    wildcard_constraints:
        system=with_shards(True),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("gather_samples"),
        runtime=minutes("gather_samples"),
    params:
        sampler=drawing_settings,
    script:
        "../workflow_scripts/gather_samples.py"


rule relax:
    """Relax the samples of a target by short dynamics with the true forces."""
    input:
        samples="results/{system}/{target}/samples.npz",
        topology="results/{system}/{target}/topology.pdb",
        molecule="results/{system}/{target}/molecule.npz",
    output:
        relaxed="results/{system}/{target}/relaxed.npz",
    log:
        "results/logs/relax/{system}_{target}.log",
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("relax"),
        runtime=minutes("relax"),
    params:
        relaxation=relaxation_settings,
    script:
        "../workflow_scripts/relax.py"


rule compare_samplers:
    """Draw structures with several solvers and numbers of steps."""
    input:
        checkpoint="results/{system}/model/checkpoint.pt",
        topology="results/{system}/{target}/topology.pdb",
        molecule="results/{system}/{target}/molecule.npz",
        reference="results/{system}/{target}/reference.npz",
    output:
        comparison="results/{system}/{target}/sampler_comparison.npz",
    log:
        "results/logs/compare_samplers/{system}_{target}.log",
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("compare_samplers"),
        runtime=minutes("compare_samplers"),
    params:
        kind=setting("kind"),
        comparison=setting("evaluation", "sampler_comparison"),
        batch_size=setting("sampler", "batch_size"),
        seed=setting("sampler", "seed"),
        temperature_K=setting("temperature_K"),
        force_field=setting("data", "force_field"),
        platform=setting("data", "platform"),
    script:
        "../workflow_scripts/compare_samplers.py"


rule estimate_density:
    """Draw along the probability flow, and find log densities of draws and of held-out frames."""
    input:
        checkpoint="results/{system}/model/checkpoint.pt",
        topology="results/{system}/{target}/topology.pdb",
        molecule="results/{system}/{target}/molecule.npz",
        reference="results/{system}/{target}/reference.npz",
    output:
        log_density="results/{system}/{target}/log_density.npz",
    log:
        "results/logs/estimate_density/{system}_{target}.log",
    wildcard_constraints:
        system=of_kind("molecule"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("estimate_density"),
        runtime=minutes("estimate_density"),
    params:
        kind=setting("kind"),
        density=setting("density"),
        force_field=setting("data", "force_field"),
        platform=setting("data", "platform"),
    script:
        "../workflow_scripts/estimate_density.py"


rule interpolate:
    """Connect two states by paths through the latent space, beside straight ones."""
    input:
        checkpoint="results/{system}/model/checkpoint.pt",
        dataset="results/{system}/dataset.npz",
        topology="results/{system}/{target}/topology.pdb",
        molecule="results/{system}/{target}/molecule.npz",
    output:
        path="results/{system}/{target}/path.npz",
        trajectory="results/{system}/{target}/path.xtc",
    log:
        "results/logs/interpolate/{system}_{target}.log",
    wildcard_constraints:
        system=of_kind("molecule"),
    conda:
        "../envs/learning.yaml"
    threads: 1
    resources:
        mem_mb=memory("interpolate"),
        runtime=minutes("interpolate"),
    params:
        kind=setting("kind"),
        interpolation=interpolation_settings,
        force_field=setting("data", "force_field"),
        platform=setting("data", "platform"),
    script:
        "../workflow_scripts/interpolate.py"
