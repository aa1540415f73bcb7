# With `targets_per_job`, what other rules make of a target is made for several targets by one process: starting one takes
# seconds. Inputs, outputs and settings are those of the rule for one target.
def of_one(rule, wildcards):
    """Return what the rule for one target would see of its job, as plain values."""

    def value(item):
        if callable(item):
            return item(wildcards)
        if isinstance(item, str):
            return str(item).format(**wildcards)
        return [value(one) for one in item]

    parts = {"input": rule.input, "output": rule.output, "params": rule.params}
    named = {
        part: {name: value(item) for name, item in items.items()}
        for part, items in parts.items()
    }
    return {
        **named,
        "wildcards": dict(wildcards),
        "log": value(rule.log[0]),
    }


def rules_of_a_target(system):
    """Return the rules that a study needs for each target."""
    study = CONFIG.studies[system]
    own = simulated(system) and study.data.simulations_of is None
    needed = {
        "build": True,
        "simulate": own,
        "simulate_competitor": own and study.data.competitor_duration_ns is not None,
        "simulate_pretraining": study.pretraining is not None,
        "prepare_reference": True,
        "sample": True,
        "relax": study.sampler.relaxation is not None,
        "compare_samplers": study.evaluation.sampler_comparison is not None,
        "estimate_density": study.density is not None,
        "interpolate": study.interpolation is not None,
        "evaluate": True,
    }
    return [name for name, is_needed in needed.items() if is_needed]


for system, number, targets in several_targets():
    for base in rules_of_a_target(system):
        own = "simulate" if base == "simulate_competitor" else base
        jobs = [
            {"script": own, **of_one(getattr(rules, base), wildcards)}
            for wildcards in wildcards_of(base, system, targets)
        ]

        rule:
            name:
                f"{base}_{system}_{number}"
            input:
                sorted({file for job in jobs for file in flat(job["input"].values())}),
            output:
                [file for job in jobs for file in job["output"].values()],
            log:
                f"results/logs/several/{base}_{system}_{number}.log",
            conda:
                "../envs/learning.yaml"
            threads: 1
            resources:
                mem_mb=lambda wildcards, attempt, base=base, system=system: min(
                    attempt, 3
                )
                * estimated(costs.memory_MB, base, system),
                runtime=len(jobs) * estimated(costs.runtime_minutes, base, system),
            params:
                jobs=jobs,
            script:
                "../workflow_scripts/several.py"

        workflow.ruleorder(f"{base}_{system}_{number}", base)
