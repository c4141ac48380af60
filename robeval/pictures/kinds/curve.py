"""Robust accuracy against the radius, as a ledger has it."""

from collections.abc import Sequence

from robeval.errors import UserError
from robeval.ledger.store import Ledger
from robeval.pictures.content import NORMS, Chart
from robeval.pictures.curves import line
from robeval.pictures.records import Records, of_answer, together
from robeval.pictures.registry import picture
from robeval.values.attack import AttackSpec
from robeval.values.measurement import AT_MOST, Finding, Measured

NAMED = 4  # so many attacks are listed by their names


@picture("curve", about="ledger")
def curve(records: Records) -> Chart:
    """Robust accuracy against the radius, a line for each model, from the rows of `robeval measure curve`.

    Bands are the 95 % intervals of the rows. Only models with the same suite, ball, samples and seed stand in one
    picture. Upper bounds, at radii that no attack looked at, are left out.
    """
    command = "robeval measure curve --suite SUITE --model MODEL"
    answers = records.answers("curve", command)
    attacks = {answer.question.key: _attacks(answer, records.ledger) for answer in answers}

    def kind(answer: Measured) -> str:
        about = of_answer(answer)
        threat = attacks[answer.question.key][0].threat
        return f"{about.suite}, {about.data}, {NORMS[threat.norm]} ε = {_radius(answer):.4g}, seed {about.seed}"

    same = together(answers, kind, "--suite, --dataset, --split, --n or --seed")
    models = list(dict.fromkeys(answer.question.model for answer in answers))
    lines = []
    for place, model in enumerate(models):
        own = [answer for answer in answers if answer.question.model == model]
        if len({answer.question.cells for answer in own}) > 1:
            found = f"it has curves of two runs of '{model}': the model or the suite was changed between them"
            raise UserError(found, where=f"ledger {records.ledger.root}", fix="Measure it again in another --out.")
        findings = [finding for answer in own for finding in answer.findings if finding.metric == "robust_accuracy"]
        _refuse_few(findings, own[0])
        lines.append(line(model, findings, "robust_accuracy", place))
    specs = attacks[answers[0].question.key]
    ids = list(dict.fromkeys(spec.id for spec in specs if spec.use != "clean"))
    by = ", ".join(ids) if len(ids) <= NAMED else f"{len(ids)} attacks"
    note = f"Nearest adversarial image that {by} found; bands: 95 % Wilson intervals."
    norm = NORMS[specs[0].threat.norm]
    return Chart(
        f"Robust accuracy, {same}", note, f"{norm} radius, pixels in [0, 1]", "robust accuracy, %", tuple(lines)
    )


def _refuse_few(findings: Sequence[Finding], answer: Measured) -> None:
    """Refuse a line through two points where the rest are upper bounds.

    Raises:
        UserError: so it is.
    """
    bounded = any(each.metric.endswith(AT_MOST) for each in answer.findings)
    if bounded and len({each.at for each in findings}) < 3:
        about = answer.question
        found = f"no attack of '{about.suite}' looks for the nearest image of '{about.model}': there is no curve"
        raise UserError(found, where="show curve", fix="Measure it under a suite with deepfool, fab or another such.")


def _radius(answer: Measured) -> float:
    return float(answer.columns["eps"][0])


def _attacks(answer: Measured, ledger: Ledger) -> list[AttackSpec]:
    """What made the verdicts.

    Raises:
        UserError: the cells with them are gone.
    """
    cells = [ledger.get(key) for key in answer.question.cells]
    found = [cell.cell.attack for cell in cells if cell]
    if not found:
        lost = f"the cells that the curve of '{answer.question.model}' was made of are gone"
        raise UserError(lost, where=f"ledger {ledger.root}", fix="Run the suite again.")
    return found
