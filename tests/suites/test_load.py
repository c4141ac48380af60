"""Suites: reading, and refusing what is wrong with every reason at once."""

import pytest

from robeval.api import prepare
from robeval.errors import UserError
from robeval.run.plan import resolved
from robeval.suites import load as suites
from robeval.values.attack import AttackSpec
from robeval.values.suite import Chain, Suite
from robeval.values.threat import ThreatModel

SUITE = """
title = "A small suite"
dataset = "digits"
split = "train"
slice_size = 50

[threat]
norm = "linf"
eps = "8/255"

[[attack]]
use = "clean"

[[attack]]
id = "pgd20"
use = "pgd"
steps = 20
step_size = "2/255"
restarts = 3
select = "any"
threat = { norm = "l2", eps = 1 }

[[cascade]]
id = "both"
attacks = [
    { use = "fgsm" },
    { use = "pgd", id = "second", steps = 5, step_size = 0.01 },
]
"""


@pytest.fixture
def suite(tmp_path):
    """Writes the suite with some lines replaced, and gives its path as text."""

    def put(*changes):
        text = SUITE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "small.toml"
        path.write_text(text)
        return str(path)

    return put


def problems(path, then=lambda loaded: loaded):
    with pytest.raises(UserError) as caught:
        then(suites.load(path))
    found = caught.value.parts or (caught.value,)
    assert all(str(path) in str(each) for each in found)
    assert all(each.fix for each in found)
    return [str(each).removeprefix(f"{path}: ").replace("\n  ", " | ") for each in found]


def test_a_whole_suite(suite):
    path = suite()
    linf, l2 = ThreatModel("linf", 8 / 255), ThreatModel("l2", 1.0)
    pgd = {"steps": 20, "step_size": "2/255"}
    assert suites.load(path) == Suite(
        id="small",
        title="A small suite",
        dataset="digits",
        split="train",
        threat=linf,
        chains=(
            Chain("clean", (AttackSpec("clean", "clean", linf),)),
            Chain("pgd20", (AttackSpec("pgd20", "pgd", l2, pgd, 3, "any"),)),
            Chain(
                "both",
                (
                    AttackSpec("both.1", "fgsm", linf),
                    AttackSpec("second", "pgd", linf, {"steps": 5, "step_size": 0.01}),
                ),
            ),
        ),
        slice_size=50,
        where=path,
    )


def test_fractions_and_defaults_are_filled_in_when_it_is_planned(suite):
    spec = resolved(suites.load(suite())).chains[1].attacks[0]
    assert spec.params["step_size"] == 2 / 255
    assert spec.params["loss"] == "ce"


def test_a_suite_needs_little(tmp_path):
    path = tmp_path / "least.toml"
    path.write_text('dataset = "digits"\n[threat]\nnorm = "linf"\neps = 0.1\n[[attack]]\nuse = "clean"\n')
    least = suites.load(str(path))
    assert (least.id, least.title, least.split, least.slice_size) == ("least", "least", "test", 1000)


def test_malformed_toml_names_file_and_line(suite):
    path = suite(("slice_size = 50", "slice_size = = 50"))
    with pytest.raises(UserError, match="at line 5, column 14") as caught:
        suites.load(path)
    assert caught.value.where == path


def test_an_unknown_suite_offers_the_nearest():
    with pytest.raises(UserError, match=r"--suite: unknown name 'digits_lnf'\n  Did you mean 'digits_linf'\?"):
        suites.load("digits_lnf")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([("title =", "titel =")], "takes no 'titel' | Did you mean 'title'?"),
        ([("slice_size = 50", "slice_size = 0")], "'slice_size' is 0, expected a whole number at least 1"),
        ([("slice_size = 50", "slice_size = 5.5")], "'slice_size' is 5.5, expected a whole number"),
        ([("slice_size = 50", "slice_size = true")], "'slice_size' is True, expected a whole number"),
        ([('dataset = "digits"', "")], "'dataset' is missing | Add 'dataset = ...'."),
        ([('dataset = "digits"', "dataset = 5")], "'dataset' is 5, expected a text"),
        ([('[threat]\nnorm = "linf"\neps = "8/255"\n', "")], "'threat' is missing | Add a section [threat]."),
        ([('norm = "linf"', 'norm = "linf"\nbox = 5')], "[threat]: takes no 'box'"),
        ([('norm = "linf"', "")], "[threat]: 'norm' is missing"),
        ([('norm = "linf"', 'norm = "l7"')], "[threat]: 'norm' is 'l7', expected one of 'linf', 'l2'"),
        ([('"8/255"', '"8/0"')], "[threat]: 'eps' is '8/0', expected a number at least 0"),
        ([('"8/255"', "-0.1")], "[threat]: 'eps' is -0.1, expected a number at least 0"),
        ([('"8/255"', "nan")], "[threat]: 'eps' is nan, expected a number at least 0"),
        ([('"8/255"', "8")], '[threat]: eps is 8, but pixels are in [0, 1] | Did you mean "8/255"?'),
        ([('use = "clean"', "")], "[[attack]] 1: 'use' is missing"),
        ([('use = "clean"', "use = 5")], "attack '5': 'use' is 5, expected a text"),
        ([('id = "pgd20"', "id = 20")], "attack '20': 'id' is 20, expected a text"),
        ([("restarts = 3", "restarts = 0")], "attack 'pgd20': 'restarts' is 0, expected a whole number at least 1"),
        (
            [('select = "any"', 'select = "all"')],
            "attack 'pgd20': 'select' is 'all', expected one of 'final', 'best', 'any'",
        ),
        (
            [('norm = "l2", eps = 1 }', 'norm = "linf", eps = 8 }')],
            "attack 'pgd20': threat: eps is 8, but pixels are in [0, 1] | Did you mean \"8/255\"?",
        ),
        ([('threat = { norm = "l2", eps = 1 }', "threat = 5")], "attack 'pgd20': 'threat' is 5, expected a section"),
        ([('id = "pgd20"', 'id = "clean"')], "two attacks have the id 'clean' | Give each its own 'id'."),
        ([('id = "both"', 'id = "clean"')], "two attacks have the id 'clean' | Give each its own 'id'."),
        ([('id = "pgd20"', 'id = "worst_case"')], "an attack has the id 'worst_case'"),
        ([('id = "both"', "")], "[[cascade]] 1: 'id' is missing"),
        ([('{ use = "fgsm" }', '"fgsm"')], "cascade 'both': 'attacks' is ["),
        ([('{ use = "fgsm" }', "{ }")], "attack 'both.1': 'use' is missing"),
        ([("[[cascade]]", "[cascade]")], "'cascade' is {"),
    ],
)
def test_one_thing_wrong(suite, changes, expected):
    (found,) = problems(suite(*changes))
    assert found.startswith(expected)


def test_no_attack(tmp_path):
    path = tmp_path / "none.toml"
    path.write_text('dataset = "digits"\n[threat]\nnorm = "linf"\neps = 0.1\n')
    assert problems(path.as_posix()) == ["it has no attack | Add an [[attack]] section."]


def test_a_cascade_without_attacks(tmp_path):
    path = tmp_path / "none.toml"
    path.write_text('dataset = "d"\n[threat]\nnorm = "linf"\neps = 0.1\n[[cascade]]\nid = "c"\nattacks = []\n')
    assert problems(str(path)) == ["the cascade 'c' has no attack | Add one to its 'attacks'."]


def test_everything_wrong_is_named_together(suite):
    path = suite(
        ("title =", "titel ="),
        ("slice_size = 50", 'slice_size = "many"'),
        ('"8/255"', "8"),
        ('use = "clean"', ""),
        ("restarts = 3", "restarts = -1"),
        ('select = "any"', 'select = "some"'),
        ('id = "both"', ""),
    )
    starts = [
        "takes no 'titel'",
        "'slice_size' is 'many'",
        "[threat]: eps is 8",
        "[[attack]] 1: 'use' is missing",
        "attack 'pgd20': 'restarts' is -1",
        "attack 'pgd20': 'select' is 'some'",
        "[[cascade]] 1: 'id' is missing",
    ]
    found = problems(path)
    assert len(found) == len(starts)
    assert all(one.startswith(start) for one, start in zip(found, starts, strict=True))


def test_what_attacks_do_not_take_is_named_together_when_it_is_planned(suite):
    path = suite(
        ('use = "clean"', 'use = "claen"'),
        ("steps = 20\nstep_size", "steps = 2.5\nstep_sise"),
        ('{ use = "fgsm" }', '{ use = "fgsm", loss = "hinge" }'),
    )
    found = problems(path, resolved)
    assert [each.split(" | ")[0] for each in found] == [
        "attack 'claen': unknown attack 'claen'",
        "attack 'pgd20': 'pgd': takes no 'step_sise'",
        "attack 'pgd20': 'pgd': 'steps' is 2.5, expected a whole number at least 1",
        "attack 'pgd20': 'pgd': 'step_size' is missing",
        "attack 'both.1': 'fgsm': 'loss' is 'hinge', expected one of 'ce', 'margin', 'dlr'",
    ]
    assert "Did you mean 'clean'?" in found[0]
    assert "Did you mean 'step_size'?" in found[1]


def test_a_broken_suite_on_the_users_shelf_does_not_hide_another(tmp_path, monkeypatch):
    monkeypatch.setenv("ROBEVAL_HOME", str(tmp_path))
    (tmp_path / "suites").mkdir()
    for name in ("one", "two"):
        (tmp_path / "suites" / f"{name}.toml").write_text("dataset =")
    with pytest.raises(UserError) as caught:
        suites.catalog()
    assert "one.toml" in str(caught.value)
    assert "two.toml" in str(caught.value)


def test_single_brackets_are_answered_with_double_ones(tmp_path):
    path = tmp_path / "single.toml"
    path.write_text('dataset = "digits"\n[threat]\nnorm = "linf"\neps = 0.1\n[attack]\nuse = "clean"\n')
    with pytest.raises(UserError, match=r"Write \[\[attack\]\], with double brackets"):
        suites.load(str(path))


def test_a_wrong_ball_does_not_hide_wrong_attacks(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text('dataset = "digits"\n[threat]\nnorm = "l7"\neps = 0.1\n[[attack]]\nuse = "pdg"\n')
    with pytest.raises(UserError) as caught:
        prepare("trades_digits", str(path))
    assert "'norm' is 'l7'" in str(caught.value)
    assert "unknown attack 'pdg'" in str(caught.value)


# ── AutoAttack ──


def test_autoattack_is_a_chain_of_its_versions_attacks(suite):
    versions = {"plus": "plus", "random": "rand"}
    others = [f'[[autoattack]]\nid = "{name}"\nversion = "{version}"' for name, version in versions.items()]
    added = "\n".join(["[[autoattack]]", *others, "", "[[cascade]]"])
    loaded = suites.load(suite(("[[cascade]]", added)))
    chains = {chain.id: chain for chain in loaded.chains}
    assert [spec.id for spec in chains["autoattack"].attacks] == [
        "autoattack.apgd_ce", "autoattack.apgd_t", "autoattack.fab_t", "autoattack.square"
    ]  # fmt: skip
    assert [spec.use for spec in chains["plus"].attacks] == [
        "apgd", "apgd", "fab", "square", "apgd_targeted", "fab_targeted"
    ]  # fmt: skip
    assert [spec.restarts for spec in chains["plus"].attacks] == [5, 5, 5, 1, 1, 1]
    assert [(spec.use, spec.eot) for spec in chains["random"].attacks] == [("apgd", 20), ("apgd", 20)]
    assert all(spec.threat == loaded.threat for chain in chains.values() for spec in chain.attacks if "." in spec.id)


def test_autoattack_for_l1_has_restarts_and_five_targets(suite):
    loaded = suites.load(suite(("[[cascade]]", '[[autoattack]]\nthreat = { norm = "l1", eps = 12 }\n\n[[cascade]]')))
    (chain,) = [chain for chain in loaded.chains if chain.id == "autoattack"]
    assert [spec.restarts for spec in chain.attacks] == [5, 1, 1, 1]
    assert chain.attacks[1].params["targets"] == 5


def test_autoattack_as_the_released_code_does_it(suite):
    added = '[[autoattack]]\nparity = "autoattack"\nversion = "plus"\n\n[[cascade]]'
    loaded = suites.load(suite(("[[cascade]]", added)))
    (chain,) = [chain for chain in loaded.chains if chain.id == "autoattack"]
    assert {spec.params.get("parity") for spec in chain.attacks} == {"autoattack"}


def test_an_unknown_version_of_autoattack(suite):
    said = problems(suite(("[[cascade]]", '[[autoattack]]\nversion = "standart"\n\n[[cascade]]')))
    assert said[0].startswith("[[autoattack]] 1: 'version' is 'standart', expected one of 'standard', 'plus', 'rand'")


@pytest.mark.parametrize(
    ("use", "way"), [("autoattack", "write [[autoattack]] in place of [[attack]]"), ("transfer", "`robeval transfer ")]
)
def test_what_is_no_attack_by_itself_says_how_to_ask_for_it(suite, use, way):
    (said,) = problems(suite(('use = "clean"', f'use = "{use}"')), resolved)
    assert f"'{use}' is nothing that 'use' can name" in said
    assert way in said
    assert "Did you mean" not in said


def test_keys_of_minimal_distance_attacks(suite):
    added = '[[attack]]\nid = "cw"\nuse = "pgd"\nminimises = "l2"\nscore = "project"\neot = 4\n\n[[cascade]]'
    loaded = suites.load(suite(("[[cascade]]", added)))
    (spec,) = [spec for chain in loaded.chains for spec in chain.attacks if spec.id == "cw"]
    assert (spec.minimises, spec.score, spec.eot) == ("l2", "project", 4)
