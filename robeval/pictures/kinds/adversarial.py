"""Clean images, adversarial ones and what lies between them."""

from robeval.pictures.content import NORMS, Grid, Strip
from robeval.pictures.far import guesses
from robeval.pictures.registry import picture
from robeval.pictures.sight import Sight, panel, signed
from robeval.values.suite import WORST_CASE


@picture("adversarial", about="suite")
def adversarial(sight: Sight, *, attack: str = WORST_CASE) -> Grid:
    """Clean images, the adversarial ones that a suite's attack makes of them for each model, and the differences.

    The images are those behind the verdicts of `robeval run`, made again: that which broke the sample, or the last one
    tried; an image that is misclassified anyway is left as it is. `attack` is an id of the suite. The difference is
    magnified until the largest one of the picture is at full strength, which the note says. Below each image is the
    class that the model predicted before and after.
    """
    made = {name: sight.attacked(name, attack) for name in sight.names}
    most = max(float((images - sight.x).abs().max()) for images in made.values())
    strips = [Strip("clean", tuple(map(panel, sight.x)))]
    for name, images in made.items():
        clean, found = (guesses(sight.probabilities(name, points)) for points in (sight.x, images))
        panels = [
            panel(image, f"{before} → {after}", alarm=after != label)
            for image, (before, _), (after, _), label in zip(images, clean, found, sight.y.tolist(), strict=True)
        ]
        strips.append(Strip(f"{name}\nadversarial", tuple(panels)))
        strips.append(Strip("difference", tuple(signed(each, most) for each in images - sight.x)))
    colours = "blue lighter, red darker" if sight.samples.shape[0] == 1 else "grey is none"
    note = (
        "Below: predicted class of the clean and of the adversarial image, bold where the latter is wrong. "
        f"Difference: {colours}, {most:.3g} at full strength."
    )
    threat, name = sight.suite.threat, sight.suite.id
    by = f"worst case of {name}" if attack == WORST_CASE else f"{attack} of {name}"
    title = f"Adversarial images, {by}, {NORMS[threat.norm]} ε = {threat.eps:.4g}, {sight.about}"
    return Grid(title, note, sight.heads, tuple(strips))
