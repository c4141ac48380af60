"""The Python interface, from the outside."""

import re
import tempfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from home import SUITE, furnish, trained
from torch import nn

import robeval
from robeval import UserError
from robeval.datasets import registry as datasets
from robeval.suites import load as suites
from robeval.values.attack import AttackSpec
from robeval.values.suite import Chain, Suite
from robeval.values.threat import ThreatModel
from robeval.zoo import cards

LINF = ThreatModel("linf", 0.1)
SMALL = Suite(
    id="small",
    title="Small",
    dataset="digits",
    split="test",
    threat=LINF,
    chains=(
        Chain("clean", (AttackSpec("clean", "clean", LINF),)),
        Chain("pgd", (AttackSpec("pgd", "pgd", LINF, {"steps": 3, "step_size": 0.05}),)),
    ),
    slice_size=25,
)


def evaluate(model, suite=SMALL, data=None, **options):
    """With one batch shape and on the CPU, so that nothing is probed."""
    return robeval.evaluate(model, suite, data, **({"device": "cpu", "microbatch": 32, "limit": 50} | options))


@pytest.fixture(scope="module")
def net():
    return trained()


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits", "test").slice(0, 50)


@pytest.fixture(scope="module")
def expected(net):
    return evaluate(net)


def numbers(evaluation):
    """The table without what differs from run to run."""
    return evaluation.table.drop(columns=["seconds"])


def same(one, other):
    assert numbers(one).equals(numbers(other))
    assert one.samples.equals(other.samples)


# ── what comes out ──


def test_a_module_and_a_suite_give_a_table(net, expected, digits):
    x, y = digits
    table = expected.table.set_index("attack")
    assert list(table.index) == ["clean", "pgd", "worst_case"]
    with torch.no_grad():
        natural = (net(x).argmax(dim=1) == y).double().mean().item()
    assert natural > 0.8
    assert table.robust_accuracy["clean"] == pytest.approx(natural)
    assert table.robust_accuracy["worst_case"] <= table.robust_accuracy["pgd"] < natural
    assert (table.n == 50).all()
    assert (table.status == "complete").all()
    assert (table.model == "SmallCNN").all()
    assert (expected.failed, expected.ledger) == (0, None)


def test_samples_have_a_row_per_attack_and_sample(expected, digits):
    samples = expected.samples
    assert len(samples) == 100
    pgd = samples[samples.attack == "pgd"]
    assert list(pgd["sample"]) == list(range(50))
    assert list(pgd.label) == digits[1].tolist()
    robust = expected.table.set_index("attack").robust_accuracy["pgd"]
    assert 1 - pgd.broken.mean() == pytest.approx(robust)
    assert (pgd.distance[pgd.broken & pgd.attacked] <= 0.1).all()


def test_as_markdown(expected):
    text = expected.to_markdown()
    accuracy = 100 * expected.table.set_index("attack").robust_accuracy
    assert f"| clean | {accuracy['clean']:.2f} [" in text
    assert f"| worst case | {accuracy['worst_case']:.2f} [" in text
    assert "95 % CI" in text


def test_the_same_again_is_the_same(net, expected):
    same(evaluate(net), expected)


# ── what goes in ──


def test_a_suite_by_name_path_or_value(net, tmp_path, monkeypatch):
    monkeypatch.setenv("ROBEVAL_HOME", str(tmp_path))
    (tmp_path / "suites").mkdir()
    path = tmp_path / "suites" / "tiny.toml"
    path.write_text(SUITE)
    found = [evaluate(net, suite) for suite in ("tiny", path, str(path), suites.load("tiny"))]
    assert set(found[0].table.suite) == {"tiny"}
    for each in found[1:]:
        same(each, found[0])


def test_a_model_by_name_path_card_or_module(tmp_path, monkeypatch, expected):
    monkeypatch.setenv("ROBEVAL_HOME", str(furnish(tmp_path)))
    path = tmp_path / "zoo" / "cards" / "small.toml"
    for model in ("small", path, str(path), cards.load("small")):
        found = evaluate(model)
        assert set(found.table.model) == {"small"}
        assert found.samples.drop(columns="model").equals(expected.samples.drop(columns="model"))


def test_the_checkpoint_can_be_given(tmp_path, monkeypatch, expected):
    monkeypatch.setenv("ROBEVAL_HOME", str(furnish(tmp_path)))
    weights = tmp_path / "zoo" / "checkpoints" / "small.safetensors"
    found = evaluate("other", checkpoint=weights)
    assert set(found.table.model) == {"other"}
    assert list(found.samples.broken) == list(expected.samples.broken)


@pytest.mark.parametrize("form", ["tensors", "arrays", "lists"])
def test_data_as(net, expected, digits, form):
    x, y = digits
    data = {
        "tensors": (x.clone().requires_grad_(), y.int()),
        "arrays": (x.numpy(), y.numpy().astype(np.uint8)),
        "lists": (x.tolist(), y.tolist()),
    }[form]
    found = evaluate(net, data=data)
    assert list(found.samples.broken) == list(expected.samples.broken)
    np.testing.assert_array_equal(found.samples.distance, expected.samples.distance)


def test_bytes_are_255ths(net, digits):
    x, y = digits
    pixels = (x * 255).round().to(torch.uint8)
    as_bytes, as_numbers = evaluate(net, data=(pixels, y)), evaluate(net, data=(pixels.float() / 255, y))
    assert as_bytes.samples.equals(as_numbers.samples)


def test_the_callers_arrays_are_left_as_they_are(net, digits):
    x, y = (part.clone() for part in digits)
    evaluate(net, data=(x, y))
    assert torch.equal(x, digits[0])
    assert torch.equal(y, digits[1])


def test_data_of_other_classes_are_told_to_be_in_a_suite_of_ones_own(tmp_path):
    """A model of two classes, on data of two, under a suite of the ten digits."""
    data = (np.zeros((4, 1, 8, 8), dtype=np.float32), np.arange(4) % 2)
    two = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with pytest.raises(UserError, match=r"is \(2, 2\), expected logits of shape \(2, 10\)") as caught:
        robeval.evaluate(two, SMALL, data=data, out=tmp_path / "runs")
    assert caught.value.fix == (
        'digits has 10 classes. For data of other classes write dataset = "own" in a suite of your own.'
    )
    robeval.evaluate(two, replace(SMALL, dataset="own"), data=data, out=tmp_path / "runs")
    with pytest.raises(UserError) as caught:
        robeval.evaluate(two, SMALL, out=tmp_path / "runs")
    assert caught.value.fix == "digits has 10 classes."


def test_data_of_no_known_data_set(net, digits):
    x, y = digits
    suite = replace(SMALL, dataset="my own digits")
    found = evaluate(net, suite, (x, y))
    assert set(found.table.dataset) == {"my own digits"}
    assert list(found.table.n) == [50, 50, 50]


def test_several_models(net):
    models = {"good": net, "bad": trained(1)}
    found = evaluate(models)
    assert list(dict.fromkeys(found.table.model)) == ["good", "bad"]
    assert "| 1 | good |" in found.to_markdown()
    assert len(found.samples) == 200


def test_two_modules_of_one_class_need_names(net):
    with pytest.raises(UserError, match="'SmallCNN' is named twice"):
        evaluate([net, trained(1)])


def test_the_callers_module_is_left_as_it_is(expected):
    module = trained().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    next(iter(module.parameters())).requires_grad_(False)
    found = evaluate(module)
    assert all(part.training for part in module.modules())
    assert [each.requires_grad for each in module.parameters()][:2] == [False, True]
    assert all(each.grad is None for each in module.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    same(found, expected)  # it was asked in evaluation mode all the same


def test_no_global_state_is_changed(net):
    torch.manual_seed(5)
    state, threads, grad = torch.get_rng_state(), torch.get_num_threads(), torch.is_grad_enabled()
    evaluate(net)
    assert torch.equal(torch.get_rng_state(), state)
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == (threads, grad)


def test_it_can_be_called_without_gradients(net, expected):
    with torch.no_grad():
        same(evaluate(net), expected)
    with torch.inference_mode():
        same(evaluate(net), expected)


def test_another_seed_asks_another_question(net, expected, tmp_path):
    found = evaluate(net, seed=1)
    assert set(found.table.seed) == {1}
    assert not found.samples.distance.equals(expected.samples.distance)


# ── the ledger ──


def test_without_out_nothing_is_left_behind(net, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert evaluate(net).ledger is None
    assert list(tmp_path.iterdir()) == []


def test_the_same_out_again_computes_nothing(net, tmp_path, monkeypatch, expected):
    first = evaluate(net, out=tmp_path)
    assert first.ledger == tmp_path
    same(first, expected)
    cells = {path: path.stat().st_mtime_ns for path in tmp_path.glob("cells/*/*.parquet")}
    assert len(cells) == 4
    monkeypatch.setattr("robeval.run.local.run_cell", None)  # calling it would fail
    again = evaluate(net, out=str(tmp_path))
    same(again, first)
    assert again.failed == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("cells/*/*.parquet")} == cells
    assert again.table.seconds.equals(first.table.seconds)


def test_more_samples_compute_only_what_is_missing(net, tmp_path):
    evaluate(net, out=tmp_path, limit=25)
    before = set(tmp_path.glob("cells/*/*.parquet"))
    found = evaluate(net, out=tmp_path, limit=50)
    assert before < set(tmp_path.glob("cells/*/*.parquet"))
    assert list(found.table.n) == [50, 50, 50]


def test_other_weights_are_another_question(tmp_path):
    first, second = (evaluate({"net": trained(epochs)}, out=tmp_path) for epochs in (6, 1))
    assert len(list(tmp_path.glob("cells/*/*.parquet"))) == 8
    assert not first.table.robust_accuracy.equals(second.table.robust_accuracy)


def test_a_failing_attack_is_counted_and_has_no_accuracy(net, monkeypatch, tmp_path):
    from robeval.run import local

    run_cell = local.run_cell

    def failing(cell, *arguments):
        if cell.attack.use == "pgd" and cell.slice.start:
            raise RuntimeError("it gave up")
        return run_cell(cell, *arguments)

    monkeypatch.setattr(local, "run_cell", failing)
    found = evaluate(net, out=tmp_path)
    table = found.table.set_index("attack")
    assert found.failed == 1
    assert table.status["pgd"] == "INCOMPLETE: 1 of 2 cells; RuntimeError: it gave up"
    assert table.robust_accuracy.isna().to_dict() == {"clean": False, "pgd": True, "worst_case": True}
    monkeypatch.undo()
    mended = evaluate(net, out=tmp_path)
    assert mended.failed == 0
    assert (mended.table.status == "complete").all()


# ── what is refused ──


class Fails(nn.Module):
    """Gives what it is told to."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x):
        return self.answer(x)


def zeros(*shape):
    return lambda x: torch.zeros(len(x), *shape)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (
            Fails(lambda x: torch.full((len(x), 10), torch.nan)),
            "model 'Fails': its logits for the first images are NaN",
        ),
        (Fails(zeros(3)), r"model 'Fails': its output for 2 images is \(2, 3\), expected logits of shape \(2, 10\)"),
        (Fails(zeros(10, 8, 8)), r"model 'Fails': its output for 2 images is \(2, 10, 8, 8\)"),
        (Fails(lambda x: (x, x)), "model 'Fails': its output for 2 images is tuple"),
        (
            Fails(lambda x: torch.zeros(len(x), 10, dtype=torch.float64)),
            "model 'Fails': its logits are of type float64, expected float32",
        ),
        (nn.Conv2d(3, 10, 8), r"model 'Conv2d': it cannot take images of shape \(2, 1, 8, 8\)"),
        (nn.Linear(5, 10), r"model 'Linear': it cannot take images of shape \(2, 1, 8, 8\)"),
    ],
)
def test_a_model_that_does_not_fit(module, message, tmp_path):
    with pytest.raises(UserError, match=message) as caught:
        evaluate(module, out=tmp_path / "runs")
    assert caught.value.fix
    assert not (tmp_path / "runs").exists()


def test_weights_that_are_not_numbers():
    module = trained()
    with torch.no_grad():
        next(module.parameters()).fill_(torch.nan)
    with pytest.raises(UserError, match="NaN or infinite"):
        evaluate(module)


@pytest.mark.parametrize("place", [0, 40])
def test_logits_that_are_not_numbers_for_one_image_cost_that_image_alone(net, digits, tmp_path, place):
    x, _ = digits
    odd = x[place].sum()
    module = Fails(lambda x: net(x) + torch.where(x.flatten(1).sum(dim=1) == odd, torch.nan, 0.0)[:, None])
    found = evaluate({"odd": module, "good": net}, out=tmp_path)
    assert found.failed == 0
    table = found.table.set_index(["model", "attack"])
    assert (table.status == "complete").all()
    for attack, row in table.loc["odd"].iterrows():
        good = table.loc["good", attack]
        assert row.natural_accuracy == pytest.approx(good.natural_accuracy - 1 / row.n)
        assert good.robust_accuracy - 1 / row.n <= row.robust_accuracy + 1e-9 <= good.robust_accuracy + 1e-8
        assert row.nonfinite >= 1
        assert good.nonfinite == 0
    verdicts = found.samples.query(f"sample == {place}").set_index(["model", "attack"])
    assert (verdicts.loc["odd"].clean_predicted == -1).all()
    assert verdicts.loc["odd"].broken.all()
    assert not verdicts.loc["odd"].attacked.any()


def test_a_model_without_gradients(net):
    module = Fails(lambda x: net(x).detach())
    with pytest.raises(UserError, match="its logits have no gradient to the image"):
        evaluate(module)


def images(change):
    x = torch.full((4, 1, 8, 8), 0.25)
    x[2, 0, 3, 3] = change
    return x


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((images(1.5), torch.zeros(4).long()), "pixels are from 0.25 to 1.5, expected 0 to 1"),
        ((images(-0.1), torch.zeros(4).long()), "pixels are from -0.1 to"),
        ((images(torch.nan), torch.zeros(4).long()), "expected 0 to 1"),
        ((torch.randint(256, (4, 1, 8, 8)), torch.zeros(4).long()), "pixels are int64, expected float32, or uint8"),
        ((torch.rand(4, 1, 8, 8).double(), torch.zeros(4).long()), "pixels are float64, expected float32"),
        ((torch.rand(4, 1, 8, 8).half(), torch.zeros(4).long()), "pixels are float16, expected float32"),
        ((torch.rand(4, 64), torch.zeros(4).long()), r"shapes are \(4, 64\) and \(4,\), expected \(n, c, h, w\)"),
        ((torch.rand(4, 1, 8, 8), torch.zeros(4, 10).long()), r"shapes are .* and \(4, 10\)"),
        ((torch.rand(4, 1, 8, 8), torch.zeros(3).long()), r"and \(3,\)"),
        ((torch.rand(0, 1, 8, 8), torch.zeros(0).long()), r"shapes are \(0, 1, 8, 8\)"),
        ((torch.rand(4, 1, 8, 8), torch.full((4,), 10)), "classes are 10 to 10, expected 0 to 9"),
        ((torch.rand(4, 1, 8, 8), torch.full((4,), -1)), "classes are -1 to -1"),
        ((torch.rand(4, 1, 8, 8), torch.zeros(4)), "classes are float32, expected whole numbers"),
        ((torch.rand(4, 1, 8, 8), ["a", "b", "c", "d"]), "expected whole numbers"),
        ((torch.rand(4, 1, 8, 8),), "expected a pair"),
        (torch.rand(4, 1, 8, 8), "expected a pair"),
        (([[1.0], [1.0, 2.0]], [0, 1]), "no array"),
        ((np.array([["a"]]), [0]), "expected"),
    ],
)
def test_data_that_does_not_fit(net, data, message):
    with pytest.raises(UserError, match=message) as caught:
        evaluate(net, data=data)
    assert str(caught.value).startswith("data: ")
    assert "images in [0, 1]" in caught.value.fix or "astype('float32')" in caught.value.fix


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"suite": "digits_lnf"}, "unknown name 'digits_lnf'\n  Did you mean 'digits_linf'?"),
        ({"suite": "nowhere.toml"}, "there is no file nowhere.toml"),
        ({"model": "smal"}, "unknown name 'smal'"),
        ({"model": []}, "no model is given"),
        ({"model": {"a b": nn.Identity()}}, "'a b' cannot name a model"),
        ({"device": "tpu9"}, "'tpu9' cannot be used"),
        ({"limit": 0}, "0 samples cannot be evaluated"),
        ({"microbatch": 0}, "0 is no batch shape"),
        ({"suite": replace(SMALL, dataset="digit")}, "unknown data set 'digit'\n  Did you mean 'digits'?"),
        ({"suite": replace(SMALL, split="tset")}, "'digits' has no split 'tset'\n  Did you mean 'test'?"),
        ({"suite": replace(SMALL, id="a/b")}, "'a/b' cannot name a suite"),
        ({"suite": replace(SMALL, chains=())}, "it has no attack"),
        ({"suite": replace(SMALL, chains=SMALL.chains[:1] * 2)}, "two attacks have the id 'clean'"),
        (
            {"suite": replace(SMALL, chains=(Chain("x", (AttackSpec("x", "fgsm", ThreatModel("linf", 8)),)),))},
            'eps is 8, but pixels are in [0, 1]\n  Did you mean "8/255"?',
        ),
        ({"suite": replace(SMALL, slice_size=0)}, "'slice_size' is 0"),
        (
            {"suite": replace(SMALL, chains=(Chain("x", (AttackSpec("x", "pdg", LINF),)),))},
            "unknown attack 'pdg'\n  Did you mean 'pgd'?",
        ),
        ({"suite": replace(SMALL, chains=(Chain("x", ()),))}, "'x' has no attack"),
    ],
)
def test_what_cannot_be_used_is_named(net, options, message, tmp_path):
    given = {"model": net, "suite": SMALL, "out": tmp_path / "runs"} | options
    with pytest.raises(UserError, match=re.escape(message)):
        evaluate(**given)
    assert not (tmp_path / "runs").exists()


def test_everything_wrong_is_named_together():
    with pytest.raises(UserError) as caught:
        evaluate("smal", "digits_lnf", device="tpu9", limit=0, microbatch=-1)
    assert [each.where for each in caught.value.parts] == ["--microbatch", "--limit", "--device", "--suite", "--model"]


def test_out_that_cannot_be_written(net, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match=re.escape(str(tmp_path / "file"))):
        evaluate(net, out=tmp_path / "file" / "runs")


def test_importing_robeval_is_cheap_and_gives_the_names(net):
    assert set(robeval.__all__) <= set(dir(robeval)) | {"Evaluation", "Measurement", "evaluate", "measure"}
    assert robeval.Evaluation is type(evaluate(net, limit=1))
    with pytest.raises(AttributeError, match="evalute"):
        print(robeval.evalute)
