"""`robeval leaderboard --pictures`: images that attacks broke, made again, as a ledger keeps verdicts only."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robeval import api
from robeval.errors import UserError
from robeval.ledger.store import Ledger
from robeval.reports.page.picture import Picture
from robeval.reports.page.verdicts import Finished, finished
from robeval.run.images import adversarial
from robeval.run.plan import make_plan, resolved
from robeval.suites import load as suites
from robeval.values.card import ModelCard
from robeval.values.plan import ModelPlan
from robeval.zoo.checkpoints import whereabouts

Made = dict[tuple[str, str], tuple[Picture, ...]]


def pictures(
    ledger: Ledger,
    plans: Iterable[ModelPlan],
    cards: Mapping[str, ModelCard],
    count: int,
    data_root: Path | None,
    device: str,
) -> tuple[Made, list[str]]:
    """The first `count` broken samples of each plan; and why there are none of some, for the user.

    Nothing is fetched: the weights have to be at hand, and the suite, the data and the weights those of the run.
    """
    made: Made = {}
    notes: list[str] = []
    for plan in plans:
        run = finished(ledger, plan)
        wanted = _first(run, count)
        if not wanted:
            continue
        try:
            made[plan.group, plan.model] = _made(ledger, run, wanted, cards, data_root, device)
        except UserError as error:
            notes.append(f"no pictures of {plan.model} in {plan.group}: {error.what}")
    return made, notes


def _first(run: Finished, count: int) -> dict[str, list[int]]:
    """The places of the first `count` broken samples, by the attack that broke each."""
    broken = sorted((place, name) for name, places in run.breakers().items() for place in places)[:count]
    found: dict[str, list[int]] = {}
    for place, name in broken:
        found.setdefault(name, []).append(place)
    return found


def _made(
    ledger: Ledger,
    run: Finished,
    wanted: Mapping[str, list[int]],
    cards: Mapping[str, ModelCard],
    data_root: Path | None,
    device: str,
) -> tuple[Picture, ...]:
    """Only the wanted samples are attacked again: each has the random draws that it had among all."""
    plan = run.plan
    if plan.source:
        raise UserError("images that were made on another model are not made again")
    if plan.model not in cards or whereabouts(cards[plan.model]) != "here":
        raise UserError("its weights are not at hand")
    chosen = plan.split.partition(" ")[2] or None
    job = api.prepare(
        cards[plan.model], plan.suite, data_root=data_root, device=device, limit=plan.n, seed=plan.seed, sample=chosen
    )
    (about,) = job.plan.models
    if about.rows != plan.rows:
        raise UserError("the suite, the data or the weights are others than those of its results")
    suite = resolved(suites.read(plan.suite)[0])
    found: list[Picture] = []
    for attack, places in wanted.items():
        some = job.samples.take(np.asarray(places), "shown")
        few = make_plan(suite, list(job.models.values()), some, limit=None, seed=plan.seed)
        again = adversarial(few, job.models, some, ledger, job.device, attack)
        clean = some.slice(0, len(places))[0].numpy()
        rows = [row for row in range(len(places)) if again.broken[row]]
        found += [_picture(run, attack, places[row], clean[row], again.images[row]) for row in rows]
    return tuple(sorted(found, key=lambda each: each.sample))


def _picture(
    run: Finished, attack: str, place: int, clean: NDArray[np.float32], adversarial: NDArray[np.float32]
) -> Picture:
    verdicts = run.verdicts[attack]
    return Picture(
        sample=int(verdicts.sample[place]),
        label=int(verdicts.label[place]),
        before=int(verdicts.clean_predicted[place]),
        after=int(verdicts.predicted[place]),
        attack=attack,
        clean=clean,
        adversarial=adversarial,
    )
