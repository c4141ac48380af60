"""Accuracy against the number of attack steps, as a ledger has it (Wang & Zhang, 2019, Figure 1)."""

from typing import Literal

from robeval.errors import UserError
from robeval.ledger.answers import settings
from robeval.pictures.content import NORMS, Chart
from robeval.pictures.curves import line
from robeval.pictures.records import Records, of_answer, together
from robeval.pictures.registry import picture
from robeval.values.measurement import Measured
from robeval.values.parameters import Count, Positive


@picture("steps", about="ledger", paper="arXiv:1811.10716")
def steps(
    records: Records,
    *,
    eps: Positive | None = None,
    steps: Count | None = None,
    counts: Literal["both", "final", "any"] = "both",
) -> Chart:
    """Accuracy under PGD with 0, 1, 2, ... steps, a line for each model, from the rows of `robeval measure steps`.

    Solid lines count a sample until the first iterate that is misclassified (`any`), dashed ones the iterate itself
    (`final`); bands are 95 % intervals. Where the ledger has several settings, `eps` and `steps` choose.
    """
    command = "robeval measure steps --model MODEL --eps EPS --step-size SIZE"
    known = records.answers("steps", command)
    wanted = {name: value for name, value in (("eps", eps), ("steps", steps)) if value is not None}
    answers = [each for each in known if all(each.question.params[name] == value for name, value in wanted.items())]
    if not answers:
        listed = "\n".join(f"  - {line}" for line in sorted({_kind(each) for each in known}))
        found = f"it has no 'steps' with {', '.join(f'{name} {value:g}' for name, value in wanted.items())}; it has"
        raise UserError(f"{found}\n{listed}", where=f"ledger {records.ledger.root}", fix="Choose among these.")
    together(answers, _kind, "--eps, --steps, --dataset, --split, --n or --seed")
    by_model = {answer.question.model: answer for answer in answers}
    if len(by_model) < len(answers):
        twice = "one of its models was measured with two sets of weights"
        raise UserError(twice, where=f"ledger {records.ledger.root}", fix="Measure it again in another --out.")
    lines = []
    for place, (model, answer) in enumerate(by_model.items()):
        if counts in ("both", "any"):
            lines.append(
                line(f"{model}, any so far" if counts == "both" else model, answer.findings, "any_accuracy", place)
            )
        if counts in ("both", "final"):
            label = f"{model}, last iterate" if counts == "both" else model
            lines.append(line(label, answer.findings, "final_accuracy", place, dashed=counts == "both"))
    about, params = of_answer(answers[0]), answers[0].question.params
    title = f"Accuracy under PGD, {about.data}, {NORMS[params['norm']]} ε = {params['eps']:.4g}, seed {about.seed}"
    start = "random start" if params["random_start"] else "from the image itself"
    counted = {
        "any": " Wrong from the first misclassified iterate on.",
        "final": " Each iterate for itself.",
        "both": "",
    }
    note = f"Step size {params['step_size']:.4g}, loss {params['loss']}, {start}; bands: 95 % Wilson intervals."
    note += counted[counts]
    return Chart(title, note, "PGD steps", "accuracy, %", tuple(lines), whole=True)


def _kind(answer: Measured) -> str:
    about = of_answer(answer)
    return f"{about.data}, {settings(answer.question)}, seed {about.seed}"
