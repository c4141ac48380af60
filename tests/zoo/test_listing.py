"""The models side by side, and one on a page."""

import pytest

from robeval.errors import Problems
from robeval.values.card import Checkpoint, Input, ModelCard, Network, Published
from robeval.values.threat import ThreatModel
from robeval.zoo import cards, listing
from robeval.zoo.checkpoints import whereabouts
from robeval.zoo.listing import page, tables

EIGHT = ThreatModel("linf", 8 / 255)


def clean(value, source="a paper"):
    return Published("natural accuracy", value, source)


def attacked(value, metric="accuracy under AutoAttack standard, l-inf 8/255", source="a paper"):
    return Published(metric, value, source)


def card(name, published=(), threat=EIGHT, dataset="cifar10", **rest):
    network = Network("wide_resnet", {"depth": 28, "widen_factor": 10, "drop_rate": 0.2})
    return ModelCard(name, f"The {name}", dataset, network, published=tuple(published), threat=threat, **rest)


def test_a_table_for_each_data_set_and_threat_model():
    models = [
        card("a", threat=None),
        card("b", threat=ThreatModel("linf", 0.3), dataset="mnist"),
        card("c"),
        card("d", threat=ThreatModel("l2", 0.5)),
        card("e"),
    ]
    assert [(table.caption, [row[0] for row in table.rows]) for table in tables(models)] == [
        ("cifar10, robust in l2 0.5", ["d"]),
        ("cifar10, robust in linf 8/255", ["c", "e"]),
        ("cifar10, not meant to be robust", ["a"]),
        ("mnist, robust in linf 0.3", ["b"]),
    ]


def test_the_most_robust_model_comes_first_and_letters_lead_to_the_sources():
    models = [
        card("none"),
        card("weak", [clean(90), attacked(40)]),
        card("strong", [clean(80, "another paper"), attacked(50.5)]),
        card("natural", [clean(95)]),
    ]
    (table,) = tables(models)
    assert [row[:1] + row[2:5] for row in table.rows] == [
        ("strong", "80.00", "50.50", "a b"),
        ("weak", "90.00", "40.00", "a"),
        ("natural", "95.00", "", "c"),
        ("none", "", "", ""),
    ]
    assert table.notes == (
        "a  accuracy under AutoAttack standard, l-inf 8/255 (a paper)",
        "b  natural accuracy (another paper)",
        "c  natural accuracy (a paper)",
    )
    assert table.rows[0][1] == "wide_resnet 28-10"


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([attacked(53.5, "accuracy under PGD-20, l-inf 8/255, step 1/255"), attacked(49.2)], 49.2),
        ([attacked(49.2), attacked(17.6, "accuracy under PGD-100, l-inf 16/255, step 0.4/255")], 49.2),
        ([attacked(17.6, "accuracy under PGD-100, l-inf 16/255, step 0.4/255")], 17.6),
        ([Published("certified accuracy, l-inf 8/255", 30, "a paper")], None),
    ],
)
def test_the_robust_accuracy_is_the_least_in_the_models_own_ball(numbers, expected):
    found = listing.robust(card("it", [clean(87), *numbers]))
    assert (found and found.value) == expected


def test_where_the_weights_are(tmp_path):
    file = Checkpoint("it.pt", source="https://example.org", url="https://example.org/it.pt")
    where = str(tmp_path / "zoo" / "cards" / "it.toml")
    models = {
        "at URL": card("it", checkpoint=file, where=where),
        "by hand": card("it", checkpoint=Checkpoint("it.pt", source="https://example.org"), where=where),
        "to train": card("it", training={"method": "natural"}, where=where),
        "not here": card("it", checkpoint=Checkpoint("it.pt"), where=where),
    }
    for expected, model in models.items():
        (table,) = tables([model])
        assert table.rows[0][5] == expected
        (line,) = listing.legend([model])
        assert line.startswith(expected)
    (tmp_path / "zoo" / "checkpoints").mkdir(parents=True)
    (tmp_path / "zoo" / "checkpoints" / "it.pt").touch()
    assert tables([models["at URL"]])[0].rows[0][5] == "here"


def test_what_was_measured_stands_in_for_what_nobody_published():
    models = [card("a", [clean(90)], measured=(clean(89),)), card("b", measured=(clean(88, "measured by us"),))]
    (table,) = tables(models)
    assert [row[2] for row in table.rows] == ["90.00", "88.00"]
    assert table.notes[-1] == "b  natural accuracy (measured by us)"


def test_checksums_are_a_note_where_there_is_no_room_for_a_column():
    models = [card("a", checkpoint=Checkpoint("a.pt", "ab" * 32)), card("b")]
    (wide,), (narrow,) = tables(models, checksums=True), tables(models)
    assert [row[-1] for row in wide.rows] == ["abababab", ""]
    assert narrow.header == wide.header[:-1]
    assert narrow.notes == ("sha256: a abababab",)


def test_a_page_says_all_that_a_card_does():
    facts, published = page(
        card(
            "it",
            [clean(87.5), attacked(49.25)],
            input=Input("fixed", (0.5,), (0.25,)),
            paper="arXiv:1901.08573",
            training={"method": "trades", "beta": 6.0},
            where="zoo/cards/it.toml",
        )
    )
    assert (facts.caption, facts.header) == ("it", ("title", "The it"))
    assert dict(facts.rows) == {
        "data set": "cifar10",
        "threat": "linf 8/255",
        "network": "wide_resnet depth=28, widen_factor=10, drop_rate=0.2",
        "input": "(x - mean) / std, mean [0.5], std [0.25]",
        "training": "method=trades, beta=6.0",
        "paper": "https://arxiv.org/abs/1901.08573",
        "card": "zoo/cards/it.toml",
    }
    assert published.rows == (
        ("87.50", "natural accuracy", "a paper"),
        ("49.25", "accuracy under AutoAttack standard, l-inf 8/255", "a paper"),
    )
    assert [table.caption for table in page(card("it", measured=(clean(99, "measured by us"),)))] == ["it", "Measured"]
    (bare,) = page(card("it", threat=None))
    assert dict(bare.rows)["threat"] == "none"


def test_more_sources_than_letters():
    models = [card(f"m{i:02}", [attacked(90 - i, source=f"paper {i}")]) for i in range(30)]
    (table,) = tables(models)
    assert [row[4] for row in table.rows][25:28] == ["z", "aa", "ab"]


def test_no_model_is_said_to_be_fetched_that_has_no_address():
    known = [each for each in cards.catalog(Problems()).values() if each.checkpoint]
    fetched = {each.id for each in known if whereabouts(each) == "at URL"}
    assert fetched == {each.id for each in known if each.checkpoint.url and whereabouts(each) != "here"}
    assert whereabouts(cards.load("bat_madry")) == "by hand"


def test_a_robust_accuracy_in_another_ball_says_in_which():
    models = [
        card("a", [attacked(50)]),
        card("b", [attacked(40, "accuracy under PGD-20, l-inf 16/255, step 2/255")]),
        card("c", [attacked(0)], threat=None),
    ]
    strong, natural = tables(models)
    assert [row[3] for row in strong.rows] == ["50.00", "40.00 at 16/255"]
    assert [row[3] for row in natural.rows] == ["0.00 at 8/255"]
