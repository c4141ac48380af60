"""The leaderboard page: what a parser and a reader make of it; `test_page_in_a_browser.py` has what it does."""

import dataclasses
import io
import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import records
from boards import HOSTILE, filled
from golden import same
from PIL import Image
from records import fill, spec

from robeval.ledger.store import Ledger
from robeval.reports import measure
from robeval.reports.page import content, html
from robeval.reports.page.markup import Markup, join, tag
from robeval.reports.page.picture import Picture, data_uri
from robeval.reports.page.verdicts import finished
from robeval.run.plan import resolved
from robeval.suites import load as suites
from robeval.values.card import ModelCard, Network
from robeval.values.cell import DataSlice
from robeval.values.measurement import Finding, Measured, Question
from robeval.values.plan import ModelPlan, Row
from robeval.values.threat import ThreatModel
from robeval.version import VERSION

GOLDEN = Path(__file__).parent / "golden"
CARD = ModelCard("strong", "Strong <b>", "digits", Network("small_cnn", {"width": 4}), paper="arXiv:1901.08573")


def panels(ledger, cards=None, pictures=None):
    results = measure.results(ledger, ledger.plans())
    return content.panels(ledger, results, content.Asked(cards or {}, pictures))


def profiles(ledger, **asked):
    return {each.model: each for panel in panels(ledger, **asked) for board in panel.boards for each in board.profiles}


def bare(text):
    """The page without its style, script and version."""
    text = text.replace(f"robeval {VERSION}", "robeval")
    return re.sub(r"<(style|script)>.*?</\1>", r"<\1></\1>", re.sub(r"sha256-[\w+/=]+", "sha256-", text), flags=re.S)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    """Read only."""
    return filled(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def shown(ledger):
    """What is on its page."""
    return panels(ledger)


class Page(HTMLParser):
    """Tags, attributes and texts; every element must be closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in ("meta", "input", "img", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_the_page(ledger):
    text = html.page("Board", panels(ledger, {"strong": CARD}))
    same(GOLDEN / "page.html", re.sub(r"(</(?:tr|div|p|section|details|h\d|dd)>)", r"\1\n", bare(text)))


def test_a_name_that_is_markup_is_only_a_text(shown):
    page = Page(html.page(HOSTILE, shown))
    assert page.tags.count("script") == 1
    assert any(text == HOSTILE for text in page.texts)
    assert ("tr", "data-model", HOSTILE) in page.attributes


def test_it_loads_nothing_and_forbids_the_browser_to(ledger):
    page = Page(html.page("Board", panels(ledger, {"strong": CARD})))
    assert {"src", "style", "onclick"} & {name for _, name, _ in page.attributes} == set()
    assert not {"link", "iframe", "object"} & set(page.tags)
    (policy,) = [value for _, name, value in page.attributes if name == "content" and "default-src" in value]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    away = [value for _, name, value in page.attributes if name == "href" and not value.startswith("#")]
    assert away == 2 * ["https://arxiv.org/abs/1901.08573"], "links to read, one for each board of the model"


def test_ids_are_there_once_and_what_is_named_is_there(shown):
    page = Page(html.page("Board", shown))
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    named = {value for _, name, value in page.attributes if name in ("aria-controls", "aria-labelledby", "data-open")}
    assert named <= set(ids)


def test_boards_are_split_by_threat_model_suite_and_samples(shown):
    found = [
        (panel.threat, each.suite, [profile.model for profile in each.profiles])
        for panel in shown
        for each in panel.boards
    ]
    assert found == [
        ("l2 0.5", "round", ["strong"]),
        ("linf 0.1", "small", ["strong", "middle", HOSTILE, "weak"]),
        ("linf 0.1", "small", ["brief"]),
    ]


def test_bars_and_classes_are_what_the_verdicts_say(tmp_path):
    ledger = Ledger(tmp_path)
    # Labels are 0 to 9, twice: of class 0 one is broken, of class 1 both; class 2 has one that is wrong when clean.
    fill(ledger, "a", [(spec(), "11000000000100000000")], natural="11011111111111111111")
    about = profiles(ledger)["a"]
    assert [(bar.label, bar.share) for bar in about.bars] == [("worst case", 0.8), ("pgd20", 0.8)]
    assert [each.robust.share for each in about.classes[:4]] == [0.5, 0.0, 0.5, 1.0]
    assert [each.natural for each in about.classes[:4]] == [1.0, 1.0, 0.5, 1.0]
    assert {each.n for each in about.classes} == {2}


def test_an_unfinished_model_has_its_status_and_no_classes(tmp_path):
    ledger = Ledger(tmp_path)
    fill(ledger, "a", [(spec(), "1000"), (spec("fgsm", use="fgsm", params={}), None)])
    about = profiles(ledger)["a"]
    assert about.classes == ()
    assert [bar.status for bar in about.bars if bar.label == "fgsm"] == ["INCOMPLETE: 0 of 1 cells"]
    assert "INCOMPLETE: 0 of 1 cells" in html.page("Board", panels(ledger))


# ── curves ──


def test_one_radius_makes_no_curve_and_the_page_says_what_would(shown):
    assert {each.curves for panel in shown for board in panel.boards for each in board.profiles} == {()}
    page = html.page("Board", shown)
    assert "robeval measure curve --suite whitebox_digits_linf --model weak" in page
    assert "measure curve --suite small" not in page


def test_the_suites_that_the_page_sends_to_look_for_the_nearest_image():
    for name in (each for each in suites.catalog() if each.startswith("whitebox_")):
        suite = resolved(suites.load(name))
        rows = [Row(chain.id, chain.attacks, ()) for chain in suite.chains]
        planned = ModelPlan(name, "", suite.dataset, suite.split, suite.threat, "net", 0, 0, tuple(rows))
        assert name == f"whitebox_{suite.dataset}_{suite.threat.norm}"
        assert any(planned.seeks(row) for row in rows), name


def test_attacks_at_two_radii_make_dots(tmp_path):
    ledger = Ledger(tmp_path)
    fill(ledger, "a", [(spec(), "1000"), (spec("wide", ThreatModel("linf", 0.3)), "0110")], natural="1110")
    (curve,) = profiles(ledger)["a"].curves
    # What the small ball breaks counts in the large one too.
    assert [(point.radius, point.share) for point in curve.points] == [(0.0, 0.75), (0.1, 0.5), (0.3, 0.0)]
    assert not curve.is_line


def test_clean_accuracy_at_a_radius_is_no_robust_accuracy(tmp_path):
    ledger = Ledger(tmp_path)
    clean = spec("clean", ThreatModel("linf", 0.3), use="clean", params={})
    fill(ledger, "a", [(clean, "0000"), (spec(), "1000")])
    assert profiles(ledger)["a"].curves == ()


def test_nearest_images_make_a_line(tmp_path):
    ledger, deepfool = Ledger(tmp_path), spec("deepfool", use="deepfool", params={}, minimises="linf", score="native")
    about = records.cell(deepfool, "a", 0, 4)
    made = records.result(about, "1100")
    near = dataclasses.replace(made.verdicts, distance=np.float32([0.05, 0.1, 0.15, np.nan]))
    ledger.put(dataclasses.replace(made, verdicts=near))
    ledger.put_plan(records.plan("a", {"deepfool": ((deepfool,), ((about.key,),))}, 4))
    (curve,) = profiles(ledger)["a"].curves
    assert curve.is_line and "deepfool" in curve.label
    at = {round(point.radius, 3): point.share for point in curve.points}
    assert at[0.0] == 1.0 and curve.points[-1].share == 0.25
    assert at[0.075] == 0.75  # exactly half of the way to 0.15
    assert all(one.share >= other.share for one, other in zip(curve.points, curve.points[1:]))


def test_the_answers_of_the_measure_make_a_line(tmp_path):
    ledger = Ledger(tmp_path)
    fill(ledger, "weak", [(spec(), "1" * 40)])
    data = DataSlice("digits", "test", "c" * 32, 0, 40)
    asked = Question("curve", {}, "weak", "w" * 32, data, suite="small")
    found = (Finding("robust_accuracy", 0.9, 0.8, 0.95, 40, "eps=0.05"), Finding("other", 1.0))
    ledger.put_answer(Measured(asked, found))
    bound = Finding("robust_accuracy_at_most", 0.9, n=40, at="eps=0.01")
    ledger.put_answer(Measured(dataclasses.replace(asked, version=2), (*found, bound)))  # no line through one point
    (curve,) = profiles(ledger)["weak"].curves
    assert [(point.radius, point.share) for point in curve.points] == [(0.05, 0.9)]
    assert "Robust accuracy in % against eps: distances of all attacks of small, n = 40" in html.page(
        "Board", panels(ledger)
    )


# ── pictures ──


def test_a_picture_is_a_png_of_the_same_pixels():
    grey = np.linspace(0, 1, 16, dtype=np.float32).reshape(1, 4, 4)
    for image in (grey, np.stack([grey[0], grey[0].T, 1 - grey[0]])):
        kind, _, code = data_uri(image).partition(",")
        pixels = np.asarray(Image.open(io.BytesIO(b64decode(code))))
        assert kind == "data:image/png;base64"
        np.testing.assert_array_equal(pixels.reshape(4, 4, -1), np.round(255 * image.transpose(1, 2, 0)))


def test_the_difference_is_as_large_as_grey_allows():
    clean, moved = np.zeros((1, 1, 3), np.float32), np.float32([[[0.1, -0.2, 0.0]]])
    shown, times = Picture(0, 0, 0, 1, "pgd", clean, moved).difference()
    np.testing.assert_allclose(shown, [[[0.75, 0.0, 0.5]]], atol=1e-6)
    assert times == pytest.approx(2.5)
    assert Picture(0, 0, 0, 1, "pgd", clean, clean).difference()[1] == 1.0


def test_pictures_stand_with_what_the_model_says(ledger):
    image = np.zeros((1, 2, 2), np.float32)
    shown = Picture(7, 3, 3, 8, "pgd20", image, image + np.float32(0.1))
    page = html.page("Board", panels(ledger, pictures={("small", "weak"): (shown,)}))
    assert page.count("data:image/png") == 3
    assert "sample 7, class 3" in page and "says 8" in page and "× 5" in page
    assert "None could be made again here" in page, "of the others"


def test_each_broken_sample_belongs_to_the_first_attack_that_broke_it(tmp_path):
    ledger = Ledger(tmp_path)
    wide = spec("wide", ThreatModel("linf", 0.3))
    outcomes = [(wide, "1111"), (spec(), "0100"), (spec("fgsm", use="fgsm", params={}), "0111")]
    plan = fill(ledger, "a", outcomes, natural="1110")
    assert finished(ledger, plan).breakers() == {"pgd20": [1], "fgsm": [2]}


# ── markup ──


def test_texts_are_escaped_and_markup_is_not():
    made = tag("p", "<&>", Markup("<b>x</b>"), title='"<', class_="a", hidden=True, id=None)
    assert made == '<p title="&quot;&lt;" class="a" hidden>&lt;&amp;&gt;<b>x</b></p>'
    assert join("<", made).startswith("&lt;<p")
    assert tag("img", alt="x") == '<img alt="x">'
