"""Suite, models and data -> Plan: everything that can be wrong is found here, before anything runs."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from robeval.attacks import registry
from robeval.datasets import own
from robeval.datasets import registry as datasets
from robeval.datasets.registry import Samples
from robeval.errors import Problems, UserError, raise_together
from robeval.ledger.store import Ledger
from robeval.run.bench import out_of_memory
from robeval.values.cell import Cell, DataSlice
from robeval.values.parameters import distances
from robeval.values.plan import ModelPlan, Plan, Row, Task
from robeval.values.suite import Chain, Suite, wrong_chains, wrong_threat
from robeval.zoo.model import LoadedModel

_LOOKED_AT = 8  # images that a model is asked about before a run: a backward pass of a large network takes its time


def resolved(suite: Suite) -> Suite:
    """The suite with every parameter of its attacks filled in.

    Raises:
        UserError: unknown attacks or parameters, values that do not fit, norms an attack cannot do; all are named
            together.
    """
    problems = _wrong_suite(suite)
    chains = []
    for chain in suite.chains:
        attacks = []
        for spec in chain.attacks:
            complete, wrong = registry.check(spec, f"{suite.where or suite.id}: attack '{spec.id}'")
            attacks.append(complete)
            problems += wrong
        chains.append(replace(chain, attacks=tuple(attacks)))
    raise_together(problems)
    return replace(suite, chains=tuple(chains))


def make_plan(
    suite: Suite,
    models: Sequence[LoadedModel],
    samples: Samples,
    *,
    limit: int | None,
    seed: int,
    source: LoadedModel | None = None,
) -> Plan:
    """Cross models, chains and slices into cells.

    Args:
        suite: with every parameter filled in, as `resolved` gives it.
        models: whose accuracy is measured.
        limit: take only the first samples; all if None.
        source: the model whose gradients the attacks see, if it is another (transfer).

    Raises:
        UserError: models that do not fit the data or are named twice, losses and targets that need more classes,
            attacks that need gradients of a model that has none; all are named together.
    """
    problems = Problems()
    problems += _beyond_all_images(suite, samples)
    suite, wrong = fitted(suite, samples.dataset, samples.num_classes)
    problems += wrong
    problems += _wrong_models(models, source, samples, suite)
    raise_together(problems)

    n = len(samples) if limit is None else min(limit, len(samples))
    slices = _slices(samples, n, suite.slice_size)
    tasks: list[list[Task]] = []
    plans: list[ModelPlan] = []
    for model in models:
        rows = []
        tasks.append([])
        for chain in suite.chains:
            chained = [Task(_cells(model, chain, each, seed, source)) for each in slices]
            tasks[-1] += chained
            keys = tuple(tuple(cell.key for cell in task.cells) for task in chained)
            rows.append(Row(chain.id, chain.attacks, keys))
        about = (suite.id, suite.title, samples.dataset, samples.split, suite.threat, model.id, n, seed, tuple(rows))
        plans.append(ModelPlan(*about, source.id if source else "", _warnings(model, source, samples, suite)))
    if source:  # its images are shared: all targets have their turn with those of one slice
        tasks = [list(targets) for targets in zip(*tasks, strict=True)]
    return Plan(tuple(task for part in tasks for task in part), tuple(plans))


def _slices(samples: Samples, n: int, size: int) -> list[DataSlice]:
    """The first n samples, so many at a time."""
    starts = range(0, n, size)
    return [DataSlice(samples.dataset, samples.split, samples.content, at, min(at + size, n)) for at in starts]


def pending(plan: Plan, ledger: Ledger) -> Iterator[Task]:
    """What is not in the ledger yet, looked up as it is asked for; a chain goes on after its last finished cell."""
    for task in plan.tasks:
        cells, before = list(task.cells), task.before
        while cells and (done := ledger.get(cells[0].key)):
            before = done.verdicts
            cells.pop(0)
        if cells:
            yield replace(task, cells=tuple(cells), before=before)


def _wrong_suite(suite: Suite) -> list[UserError]:
    """What a suite made in Python may have and one from a file cannot."""
    where = suite.where or f"suite '{suite.id}'"
    problems = wrong_chains(suite.chains, where)
    if not suite.id or set(suite.id) & set("/\\\0"):
        problems.append(UserError(f"'{suite.id}' cannot name a suite", where="suite", fix="Leave out / and \\."))
    if suite.slice_size < 1:
        problems.append(UserError(f"'slice_size' is {suite.slice_size}", where=where, fix="Give 1 or more."))
    for chain in suite.chains:
        for spec in chain.attacks:
            problems += wrong_threat(spec.threat, f"{where}: attack '{spec.id}'")
    return problems


def _cells(
    model: LoadedModel, chain: Chain, part: DataSlice, seed: int, source: LoadedModel | None
) -> tuple[Cell, ...]:
    cells: list[Cell] = []
    for spec in chain.attacks:
        after = cells[-1].key if cells else ""
        seen = source.fingerprint if source else ""
        cells.append(Cell(model.id, model.fingerprint, part, spec, after, seed, seen))
    return tuple(cells)


def _wrong_models(
    models: Sequence[LoadedModel], source: LoadedModel | None, samples: Samples, suite: Suite
) -> list[UserError]:
    problems: list[UserError] = []
    for model in (*models, source) if source else models:
        asked = source is None or model is source
        problems += _misfits(model, samples) or (_without_gradients(model, samples, suite) if asked else [])
    names = [model.id for model in models]
    return problems + [
        UserError(f"'{name}' is named twice", where="--model", fix="Name each model once.")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]


def _beyond_all_images(suite: Suite, samples: Samples) -> list[UserError]:
    """Radii and steps that are longer than any two images are apart; "8" for "8/255", mostly."""
    pixels = math.prod(samples.shape)
    furthest = {"linf": 1.0, "l2": math.sqrt(pixels), "l1": float(pixels)}
    problems = []
    for spec in (spec for chain in suite.chains for spec in chain.attacks):
        given = distances(registry.catalog()[spec.use].function, spec.params)
        lengths = [("eps", spec.threat.eps, spec.threat.norm)]
        lengths += [(name, length, spec.minimises or spec.threat.norm) for name, length in given.items()]
        problems += [
            UserError(
                f"{name} is {length:g}, but no two images are further than {furthest[norm]:.4g} apart",
                where=f"{suite.where or suite.id}: attack '{spec.id}' on {samples.dataset}",
                fix=f"Give {name} in pixel units: images are in [0, 1].",
            )
            for name, length, norm in lengths
            if length > furthest[norm]
        ]
    return problems


def fitted(suite: Suite, dataset: str, num_classes: int) -> tuple[Suite, list[UserError]]:
    """The suite with what depends on the number of classes (losses, targets) filled in, and what cannot be."""
    problems = Problems()
    chains = tuple(_fitted(chain, suite, dataset, num_classes, problems) for chain in suite.chains)
    return replace(suite, chains=chains), problems


def _fitted(chain: Chain, suite: Suite, dataset: str, num_classes: int, problems: Problems) -> Chain:
    specs = []
    for spec in chain.attacks:
        fit, params = registry.catalog()[spec.use].fit, dict(spec.params)
        if chain.fit_targets and params.get("targets"):
            params["targets"] = min(params["targets"], num_classes - 1)
        if fit:
            try:
                spec = replace(spec, params=fit(params, num_classes))
            except UserError as error:
                where = f"{suite.where or suite.id}: attack '{spec.id}' on {dataset}"
                problems.append(UserError(error.what, where=where, fix=error.fix))
        specs.append(spec)
    return replace(chain, attacks=tuple(specs))


def _misfits(model: LoadedModel, samples: Samples) -> list[UserError]:
    """What shows that this model cannot be asked about these images."""
    where = f"model '{model.id}'"
    x, _ = samples.slice(0, 2)
    try:
        with torch.no_grad():
            logits = model.module(x)
    except Exception as error:  # whatever the user's own code raises
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        found = f"it cannot take images of shape {tuple(x.shape)}: {reason}"
        return [UserError(found, where=where, fix="It has to map float32 images (n, c, h, w) in [0, 1] to logits.")]
    shape = (len(x), samples.num_classes)
    if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != shape:
        got = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
        found = f"its output for {len(x)} images is {got}, expected logits of shape {shape}"
        fix = f"{samples.dataset} has {samples.num_classes} classes."
        if samples.split.startswith(own.split_of("")) and samples.dataset in datasets.catalog():
            fix += f" {own.OTHER_CLASSES}"
        return [UserError(found, where=where, fix=fix)]
    if logits.dtype != torch.float32:
        found = f"its logits are of type {str(logits.dtype).removeprefix('torch.')}, expected float32"
        return [UserError(found, where=where, fix="Let the model end in `.float()`.")]
    if not logits.isfinite().all(dim=1).any() and not _any_finite(model, samples):
        fix = "Check its weights and input normalisation."
        return [UserError("its logits for the first images are NaN or infinite", where=where, fix=fix)]
    return []


def _any_finite(model: LoadedModel, samples: Samples) -> bool:
    """Whether one of the first images has logits that are numbers: an image that has none costs no other anything."""
    x, _ = samples.slice(0, min(len(samples), _LOOKED_AT))
    with torch.no_grad():
        return bool(model.module(x).isfinite().all(dim=1).any())


def _warnings(model: LoadedModel, source: LoadedModel | None, samples: Samples, suite: Suite) -> tuple[str, ...]:
    """What makes results of this model doubtful, and what does of the one that its attacks see; idle restarts."""
    idle = [
        f"attack '{spec.id}' draws no random numbers with these parameters: unless the model does, its {spec.restarts} "
        "restarts are one and the same"
        for spec in (spec for chain in suite.chains for spec in chain.attacks)
        if spec.restarts > 1 and not registry.catalog()[spec.use].draws(spec.params)
    ]
    seen = [f"source {source.id}: {each}" for each in _doubts(source, samples)] if source else []
    return (*_doubts(model, samples), *seen, *idle)


def _doubts(model: LoadedModel, samples: Samples) -> list[str]:
    """What makes results of this model doubtful, as far as its answers for a few clean images show it."""
    x, _ = samples.slice(0, min(len(samples), _LOOKED_AT))
    with torch.no_grad(), torch.random.fork_rng(devices=()):
        out, again = model.module(x), model.module(x)
        slopes = _slopes(model, x)
    sums = out.sum(dim=1)
    found = []
    if not torch.equal(out.nan_to_num(), again.nan_to_num()):
        found.append(
            "its answers to the same images differ from pass to pass: one attack of a random model proves little; "
            "average its gradients with `eot`"
        )
    if bool((out > -1e-5).all() and (out < 1 + 1e-5).all() and ((sums - 1).abs() < 1e-5).all()):
        found.append(
            "its outputs look like probabilities, not logits: losses of attacks saturate, and accuracies under attack "
            "may be far too high; remove the softmax"
        )
    flat = 0 if slopes is None else int((slopes.flatten(1) == 0).all(dim=1).sum())
    if 2 * flat > len(x):
        found.append(
            f"its gradient is exactly 0 for {flat} of the first {len(x)} images: attacks that follow it do not move "
            f"there, and accuracies under them prove nothing; add attacks without gradients ({_free()})"
        )
    return found


def _slopes(model: LoadedModel, x: torch.Tensor) -> torch.Tensor | None:
    """The slope of the lead of each image's likeliest class; None for a model that has no gradient.

    Raises:
        UserError: memory is not enough.
    """
    images = x.clone().requires_grad_()
    try:
        with torch.enable_grad():
            first, second = model.module(images).topk(2, dim=1).values.unbind(dim=1)
            return torch.autograd.grad((first - second).sum(), images)[0]
    except Exception as error:  # whatever the user's own code raises where gradients are asked for
        if not out_of_memory(error):
            return None
    found = f"memory is not enough for the gradient of {len(x)} images"
    raise UserError(found, where=f"model '{model.id}'", fix="Free memory, or use a machine that has more.")


def _free() -> str:
    """The attacks without gradients."""
    entries = registry.catalog().items()
    return ", ".join(name for name, entry in entries if not (entry.gradients or entry.library or name == "clean"))


def _without_gradients(model: LoadedModel, samples: Samples, suite: Suite) -> list[UserError]:
    """A complaint if attacks need gradients and the model has none."""
    known = registry.catalog()
    need = [spec.id for chain in suite.chains for spec in chain.attacks if known[spec.use].gradients]
    if not need or _slopes(model, samples.slice(0, 2)[0]) is not None:
        return []
    found = f"its logits have no gradient to the image, which these attacks need: {', '.join(need)}"
    fix = f"Use attacks without gradients ({_free()}), or remove no_grad/detach/argmax/numpy from its forward pass."
    return [UserError(found, where=f"model '{model.id}'", fix=fix)]
