# Which files a job needs; nothing here computes anything.
def shard_files(wildcards):
    """The shards of a target, in order."""
    shards = CONFIG.studies[wildcards.system].sampler.shards
    folder = f"results/{wildcards.system}/{wildcards.target}/samples.shards"
    return [f"{folder}/{shard}-of-{shards}.npz" for shard in range(1, shards + 1)]


def library(*names):
    """Return library files as inputs of a cheap rule, so that it runs again when they are edited."""
    folder = Path(workflow.basedir, "dig_core")
    # Relative, so that moving the checkout does not look like a change.
    return [os.path.relpath(folder / name) for name in names]


def simulated(study):
    """Whether the workflow makes the study's frames itself."""
    return CONFIG.studies[study].data.source == "simulate"


def has_energies(study):
    """Whether energies can be computed: a force field is given."""
    # Those of proteins are kept as backbones, which have no energy.
    own = CONFIG.studies[study]
    return own.kind == "molecule" and bool(own.data.force_field)


def target_sources(wildcards):
    """Files that describe a target: its PDB file, its known structures, or the topology and first frame of the user's trajectory."""
    study = CONFIG.studies[wildcards.system]
    target, data = study.targets[wildcards.target], study.data
    own = []
    if study.kind == "molecule" and data.source == "trajectory":
        own = [data.topology, data.files[0]]
    elif data.source == "trajectory":
        first = [] if target.pdb else [target.trajectory.replicas[0][0]]
        own = [target.trajectory.topology, *first]
    own += [state.pdb for state in (getattr(target, "states", None) or {}).values()]
    own += [getattr(target, key, None) for key in ("fasta", "embeddings")]
    return [file for file in [target.pdb, *own] if file]


def simulated_topology(wildcards):
    """The topology of what is simulated: proteins are built with all atoms for it, and kept as backbones otherwise."""
    is_protein = CONFIG.studies[wildcards.system].kind == "protein"
    name = "all_atoms" if is_protein else "topology"
    return f"results/{wildcards.system}/{wildcards.target}/{name}.pdb"


def replica_files(system, target, held_out):
    """Frames that train, or those that are held out: simulated replicas, or the user's files."""
    data = CONFIG.studies[system].data
    if data.source == "structures":
        return []  # they are in the descriptor
    if CONFIG.studies[system].kind == "protein" and data.source == "trajectory":
        replicas = CONFIG.studies[system].targets[target].trajectory.replicas
        folder = f"results/{system}/{target}/trajectory"
        files = [f"{folder}/{k}.npz" for k in range(1, len(replicas) + 1)]
    elif simulated(system):
        folder = f"results/{data.simulations_of or system}/{target}/simulation"
        replicas = [str(k) for k in range(1, data.replicas + 1)]
        files = [
            bundled_file(system, target, k) or f"{folder}/{k}.npz" for k in replicas
        ]
    else:
        files = list(data.files)
    # One file alone gives both: its last part is held out.
    return files[-1:] if held_out else files[:-1] or files


def bundled_file(system, target, replica):
    """A simulated replica that comes with the project; None where it does not."""
    study = CONFIG.studies[system]
    if study.kind != "protein" or bundled_replica(study, target, replica) is None:
        return None
    return library(f"data/bundled/{study.data.bundled}/{target}_{replica}.npz")[0]


def run_files(wildcards):
    """The user's files of one run of a protein, in the order of time."""
    target = CONFIG.studies[wildcards.system].targets[wildcards.target]
    return list(target.trajectory.replicas[int(wildcards.replica) - 1])


def run_topology(wildcards):
    """The topology of the user's trajectories of a protein."""
    return (
        CONFIG.studies[wildcards.system].targets[wildcards.target].trajectory.topology
    )


def training_files(wildcards):
    """Frames of all targets that train the network."""
    targets = trained_targets(wildcards)
    return [
        f for t in targets for f in replica_files(wildcards.system, t, held_out=False)
    ]


def floor_files(wildcards):
    """Frames of one target that would train the network if the target were not held out."""
    return replica_files(wildcards.system, wildcards.target, held_out=False)


def floor_file(wildcards):
    """The noise floor of a target that is held out, or trained on some frames only; that of the others is in the dataset."""
    whole = getattr(CONFIG.studies[wildcards.system].data, "subset", None) is None
    if whole and wildcards.target in trained_targets(wildcards):
        return []
    return f"results/{wildcards.system}/{wildcards.target}/floor.npz"


def folding_runs(wildcards):
    """All replicas of one target, the held-out one last, where the study counts their events of folding."""
    system, target = wildcards.system, wildcards.target
    if CONFIG.studies[system].evaluation.folded is None:
        return []
    files = (replica_files(system, target, held_out) for held_out in (False, True))
    return [file for part in files for file in part]


def held_out_files(wildcards):
    """Frames of one target that the network never sees."""
    return replica_files(wildcards.system, wildcards.target, held_out=True)


def weight_files(held_out):
    """Return an input function: weights of the user's frames, in the order of their files."""

    def files(wildcards):
        weights = list(
            getattr(CONFIG.studies[wildcards.system].data, "weights", None) or []
        )
        return weights[-1:] if held_out else weights[:-1] or weights

    return files


def of_targets(pattern):
    """Return an input function: the file of every target of the study."""

    def files(wildcards):
        targets = CONFIG.studies[wildcards.system].targets
        return expand(pattern, system=wildcards.system, target=targets)

    return files


def of_trained_targets(pattern):
    """Return an input function: the file of every target of the study that is trained on."""
    return lambda wildcards: expand(
        pattern, system=wildcards.system, target=trained_targets(wildcards)
    )


def held_out_targets(system):
    """The targets of a study that are held out, where a study is averaged over them."""
    study = CONFIG.studies[system]
    if study.kind != "adsorption":
        return []
    return [name for name, target in study.targets.items() if target.held_out]


def of_held_out_targets(pattern):
    """Return an input function: the file of every target of the study that is held out."""
    return lambda wildcards: expand(
        pattern, system=wildcards.system, target=held_out_targets(wildcards.system)
    )


def tabled_targets(wildcards):
    """What has rows in the table of a study: its targets, and the mean over those that are held out."""
    averages = ["held_out"] if held_out_targets(wildcards.system) else []
    return [*CONFIG.studies[wildcards.system].targets, *averages]


def tabled_metrics(wildcards):
    """The metrics that the table of a study shows."""
    folder = f"results/{wildcards.system}"
    return [f"{folder}/{name}/metrics.json" for name in tabled_targets(wildcards)]


def known_adsorption_energies(wildcards):
    """The table of known energies, where the study names one."""
    known = CONFIG.studies[wildcards.system].evaluation.known
    return [known] if known else []


def competitor_file(wildcards):
    """Plain dynamics at equal cost, where the study asks for it."""
    if CONFIG.studies[wildcards.system].data.competitor_duration_ns is None:
        return []
    return f"results/{wildcards.system}/{wildcards.target}/simulation/competitor.npz"


def start_file(wildcards):
    """The network of another study, where the study starts from one."""
    training = CONFIG.studies[wildcards.system].training
    other = getattr(training, "start_from", None)
    return f"results/{other}/model/checkpoint.pt" if other else []


def pretraining_structures(wildcards):
    """What the pre-training learns from: of every target that trains its structures, or its map of energies."""
    maps = CONFIG.studies[wildcards.system].kind == "adsorption"
    name = "energies" if maps else "simulation/pretraining"
    return of_trained_targets(f"results/{{system}}/{{target}}/{name}.npz")(wildcards)


def pretrained_file(wildcards):
    """The weights that the training starts from: those of the pre-training, or else of another study, where there are some."""
    if getattr(CONFIG.studies[wildcards.system], "pretraining", None) is None:
        return start_file(wildcards)
    return f"results/{wildcards.system}/model/pretrained.pt"


def kept_files(wildcards):
    """Weighted structures of the pre-training, which stay in the mix: of every target that trains."""
    pretraining = getattr(CONFIG.studies[wildcards.system], "pretraining", None)
    if pretraining is None or pretraining.loss.kind != "denoising":
        return []
    return of_trained_targets("results/{system}/{target}/simulation/pretraining.npz")(
        wildcards
    )


def exploration_file(wildcards):
    """Weighted structures of the pre-training of one target, where there are any."""
    if not kept_files(wildcards) or wildcards.target not in trained_targets(wildcards):
        return []
    return f"results/{wildcards.system}/{wildcards.target}/simulation/pretraining.npz"


def pretraining_record(wildcards):
    """What the pre-training took, where the study asks for it."""
    if CONFIG.studies[wildcards.system].pretraining is None:
        return []
    return f"results/{wildcards.system}/model/pretraining.json"


def relaxed_file(wildcards):
    """The relaxed samples, where the study asks for them."""
    if CONFIG.studies[wildcards.system].sampler.relaxation is None:
        return []
    return f"results/{wildcards.system}/{wildcards.target}/relaxed.npz"


def density_file(wildcards):
    """The log densities, where the study asks for them."""
    density = CONFIG.studies[wildcards.system].density
    if density is None:
        return []
    if getattr(density, "held_out_only", False):
        if wildcards.target not in held_out_targets(wildcards.system):
            return []
    return f"results/{wildcards.system}/{wildcards.target}/log_density.npz"


def path_file(wildcards):
    """Paths between two states, where the study asks for them."""
    if CONFIG.studies[wildcards.system].interpolation is None:
        return []
    return f"results/{wildcards.system}/{wildcards.target}/path.npz"


def transition_files(wildcards):
    """Trajectory and topology of a known transition of a protein, with which its path is compared."""
    study = CONFIG.studies[wildcards.system]
    known = study.targets[wildcards.target].transition
    if known is None or study.interpolation is None:
        return []
    return [known.trajectory, known.topology]


def tight_reference_file(wildcards):
    """The bundled histogram, where the study names one."""
    name = CONFIG.studies[wildcards.system].data.tight_reference
    return library(f"data/bundled/{name}.npz") if name else []


def figure_files(name, folder="results/figures"):
    """The three files of a figure: picture, vector graphics, and the numbers it shows."""
    return [f"{folder}/{name}.{suffix}" for suffix in ("png", "pdf", "parquet")]


def density_runs(wildcards):
    """Form and seed of every training of a study of known densities."""
    study = CONFIG.studies[wildcards.system]
    return [[form, seed] for form in study.forms for seed in study.seeds]


def density_samples(wildcards):
    """Samples of every training on a known density."""
    folder = f"results/{wildcards.system}/{wildcards.target}"
    return [f"{folder}/{form}_{seed}.npz" for form, seed in density_runs(wildcards)]


def slab_file(wildcards):
    """The user's file of a slab, where it is not cut from a crystal."""
    own = CONFIG.studies[wildcards.system].targets[wildcards.target].slab
    return [own] if own else []


def bundled_surface_file(wildcards):
    """The slab and the energies of a target where they come with the project."""
    study = CONFIG.studies[wildcards.system]
    if bundled_surface(study, wildcards.target) is None:
        return []
    return library(f"data/bundled/{study.data.bundled}/{wildcards.target}.npz")


def property_file(wildcards):
    """The network that tells the property of crystals, where the study has one."""
    if CONFIG.studies[wildcards.system].property is None:
        return []
    return f"results/{wildcards.system}/property/checkpoint.pt"


def asked_property_file(wildcards):
    """The same, where it guides the drawing of the target."""
    return property_file(wildcards) if guided_by(wildcards) == "network" else []


def predictor_file(wildcards):
    """The Python file of another predictor, where the study has one."""
    own = CONFIG.studies[wildcards.system].property
    return own.predictor if own and own.predictor else []


def asked_predictor_file(wildcards):
    """The same, where it guides the drawing of the target."""
    return predictor_file(wildcards) if guided_by(wildcards) == "predictor" else []


def guided_by(wildcards):
    """What guides the drawing of a target; None where it is asked for nothing."""
    study = CONFIG.studies[wildcards.system]
    asked = study.targets[wildcards.target].asked
    return None if asked is None else study.property.guidance.by


def computes_known(study):
    """Whether the property of known crystals is computed."""
    return bool(
        study.property and study.property.labels and study.property.labels.known
    )


def search_settings(wildcards):
    """How crystals are searched for, whatever is kept and in how many jobs."""
    values = dict(SETTINGS[wildcards.system]["data"]["search"])
    return {k: v for k, v in values.items() if k not in ("jobs", "window_eV_per_atom")}


def search_files(wildcards):
    """The parts of a search, in order."""
    jobs = CONFIG.studies[wildcards.system].data.search.jobs
    folder = f"results/{wildcards.system}/search"
    return [f"{folder}/{part}-of-{jobs}.csv" for part in range(1, jobs + 1)]


def crystal_files(wildcards):
    """What a study's search has found, and the files of its other crystals."""
    data = CONFIG.studies[wildcards.system].data
    own = f"results/{wildcards.system}/search/crystals.csv"
    return [*([own] if data.search else []), *data.files]


def dividing_settings(wildcards):
    """How crystals are divided, wherever they come from."""
    values = dict(SETTINGS[wildcards.system]["data"])
    return {k: v for k, v in values.items() if k not in ("files", "search")}


def tabled_column(wildcards):
    """The column of the tables that holds the property, where it is not computed."""
    study = CONFIG.studies[wildcards.system]
    return (
        None
        if study.property is None or computes_known(study)
        else study.property.column
    )


def tabled_property(wildcards):
    """The table that holds the property, where it is another one than that of the crystals."""
    property = CONFIG.studies[wildcards.system].property
    return [property.table] if property and property.table else []


def known_label_files(wildcards):
    """Band gaps of known crystals, in parts."""
    parts = CONFIG.studies[wildcards.system].property.labels.known
    folder = f"results/{wildcards.system}/property/known"
    return [f"{folder}/{part}-of-{parts}.json" for part in range(1, parts + 1)]


def label_settings(wildcards):
    """How a band gap is computed, whichever crystals are labelled in how many jobs."""
    values = dict(SETTINGS[wildcards.system]["property"]["labels"] or {})
    return {k: v for k, v in values.items() if k not in ("samples", "seed", "known")}


def with_property(name):
    """Return an input function: crystals of a study, with computed labels where there are some."""

    def path(wildcards):
        folder = "property/" if computes_known(CONFIG.studies[wildcards.system]) else ""
        return f"results/{wildcards.system}/{folder}{name}"

    return path


def label_files(wildcards):
    """Band gaps of samples, where the study asks for some."""
    study = CONFIG.studies[wildcards.system]
    wanted = study.property and study.property.labels
    examined = study.targets[wildcards.target].examined
    count = wanted.samples if wanted and examined else 0
    folder = f"results/{wildcards.system}/{wildcards.target}/labels"
    return [f"{folder}/{place}.json" for place in range(count)]


def relaxed_crystals(wildcards):
    """Relaxed samples, where the study asks for some."""
    study = CONFIG.studies[wildcards.system]
    examined = study.targets[wildcards.target].examined
    name = f"results/{wildcards.system}/{wildcards.target}/relaxed.npz"
    return [name] if study.relaxation and examined else []


def relaxed_label_files(wildcards):
    """Band gaps of relaxed samples, as many as of those that are as they were drawn."""
    if not CONFIG.studies[wildcards.system].relaxation:
        return []
    files = map(Path, label_files(wildcards))
    return [str(file.with_stem(f"relaxed_{file.stem}")) for file in files]


def examined_targets(wildcards):
    """Targets whose samples are relaxed and labelled, where the study asks for that."""
    targets = CONFIG.studies[wildcards.system].targets
    return [name for name, own in targets.items() if own.examined]


def relaxed_targets(wildcards):
    """Those of a study that relaxes samples."""
    wanted = CONFIG.studies[wildcards.system].relaxation
    return examined_targets(wildcards) if wanted else []


def of_examined_targets(files):
    """Return an input function: the files of every such target, one after another, which `files` gives for one."""

    def all_files(wildcards):
        each = [
            Values(system=wildcards.system, target=target)
            for target in examined_targets(wildcards)
        ]
        return [file for own in each for file in files(own)]

    return all_files


def named_phases(wildcards):
    """The table of phases that are counted among the samples, where the study names one."""
    table = CONFIG.studies[wildcards.system].evaluation.phases
    return [table] if table else []


def asked_guidance(wildcards):
    """How much a value weighs that the target is asked to have."""
    own = SETTINGS[wildcards.system]["targets"][wildcards.target]
    if own["asked"] is None:
        return None
    guidance = SETTINGS[wildcards.system]["property"]["guidance"]
    return guidance | ({"scale": own["scale"]} if own["scale"] else {})


def asked_units(wildcards):
    """Usual values of the property, where another predictor than its network guides the drawing."""
    if guided_by(wildcards) != "predictor":
        return None
    units = CONFIG.studies[wildcards.system].property.units
    return {name: units[name] for name in ("centre", "spread", "tolerance")}


def all_scales(wildcards):
    """How much is asked of each target: 0 of those that are asked for nothing."""
    usual = SETTINGS[wildcards.system]["property"]["guidance"]["scale"]
    targets = CONFIG.studies[wildcards.system].targets
    return {
        name: 0.0 if own.asked is None else own.scale or usual
        for name, own in targets.items()
    }


def drawn_target(wildcards):
    """What is drawn for a target; how much it is asked for, and what becomes of it, are other settings."""
    own = SETTINGS[wildcards.system]["targets"][wildcards.target]
    return {key: own[key] for key in ("atoms", "asked")}


def all_asked(wildcards):
    """Values of the property that any target is asked to have."""
    targets = CONFIG.studies[wildcards.system].targets.values()
    return sorted({own.asked for own in targets if own.asked is not None})


def property_network(wildcards):
    """What the network of the property is built from."""
    study = CONFIG.studies[wildcards.system]
    return plain(study.model) | (study.property.units if study.property else {})


def study_figures(study):
    """Names of the figures that a study has."""
    if CONFIG.studies[study].kind == "analytic":
        return ["energies_only"]
    if CONFIG.studies[study].kind == "adsorption":
        return ["sites", "adsorbates", "learning_curve"]
    if CONFIG.studies[study].kind == "carbon":
        learning = ["learning_curve"] if CONFIG.studies[study].training.steps else []
        own = ["property"] if CONFIG.studies[study].property else []
        return ["crystals", *learning, *own]
    own = CONFIG.studies[study]
    learning = ["learning_curve"] if own.training.steps or own.pretraining else []
    if own.data.source == "structures":
        path = ["pathway"] if own.interpolation else []
        return ["states", *learning, *path]
    comparison = own.evaluation.sampler_comparison
    names = ["landscape", *learning]
    names += ["energies"] if has_energies(study) else []
    names += (
        ["density"] if CONFIG.studies[study].density and has_energies(study) else []
    )
    names += ["pathway"] if CONFIG.studies[study].interpolation else []
    return names + (["samplers"] if comparison else [])


def study_results(study):
    """Everything a study leaves for its reader."""
    folder = f"results/{study}"
    metrics = [f"{folder}/{t}/metrics.json" for t in CONFIG.studies[study].targets]
    figures = [
        f for n in study_figures(study) for f in figure_files(n, f"{folder}/figures")
    ]
    own = CONFIG.studies[study]
    compared = (
        [f"{folder}/known_sites/metrics.json"]
        if own.kind == "adsorption" and own.evaluation.known
        else []
    )
    return [*metrics, *compared, *figures, f"results/tables/{study}.csv"]


def compared_studies(table):
    """The studies of a comparison, each as many times as it has seeds."""
    comparison = CONFIG.comparisons.get(table)
    if comparison is None:
        return []
    return [study for study in comparison.studies for _ in comparison.seeds or [None]]


def compared_metrics(table):
    """Metrics of every study of a comparison with every seed."""
    comparison = CONFIG.comparisons.get(table)
    if comparison is None:
        return []
    names = [
        seeded_name(study, seed) if comparison.seeds else study
        for study in comparison.studies
        for seed in comparison.seeds or [None]
    ]
    return [
        f"results/{name}/{target}/metrics.json"
        for name in names
        for target in CONFIG.studies[name].targets
    ]


def shown_in(figure):
    """Evaluations of all targets of the studies that a figure shows."""
    return [
        f"results/{study}/{target}/evaluation.npz"
        for study in CONFIG.figures.get(figure, ())
        for target in CONFIG.studies[study].targets
    ]


def parts_of(figure, *names):
    """Return an input function: the figures of these names, where they have them, of the studies that a figure shows."""

    def files(wildcards):
        """Of all of these studies."""
        studies = CONFIG.figures.get(figure, ())
        if not studies:
            raise ValueError(
                f"expected studies under figures.{figure} in config/config.yaml; got none. Name one there"
            )
        return [
            file
            for study in studies
            for name in names
            if name in study_figures(study)
            for file in figure_files(name, f"results/{study}/figures")
        ]

    return files


def titles_in(figure):
    """Titles of what `shown_in` returns."""
    return [
        study.replace("_", " ")
        + (f": {target}" if len(CONFIG.studies[study].targets) > 1 else "")
        for study in CONFIG.figures.get(figure, ())
        for target in CONFIG.studies[study].targets
    ]


def several_targets():
    """Study, number and targets of every job for several targets."""
    found = []
    for name, study in CONFIG.studies.items():
        size, targets = getattr(study, "targets_per_job", 1), list(study.targets)
        if size > 1:
            chunks = [targets[k : k + size] for k in range(0, len(targets), size)]
            found += [(name, k, chunk) for k, chunk in enumerate(chunks, start=1)]
    return found


class Values(dict):
    """Wildcards as functions of a rule see them, outside of a rule that has some."""

    __getattr__ = dict.__getitem__


def wildcards_of(rule_name, system, targets):
    """The jobs that a rule has for these targets, one for each, or for each replica that it simulates."""
    names = [{}]
    if rule_name == "simulate":
        replicas = range(1, CONFIG.studies[system].data.replicas + 1)
        names = [{"replica": str(k)} for k in replicas]
    return [
        Values({"system": system, "target": target, **own})
        for target in targets
        for own in names
    ]


def flat(values):
    """Strings, and the strings of lists, in one list."""
    return [
        x
        for value in values
        for x in ([value] if isinstance(value, str) else flat(value))
    ]


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
