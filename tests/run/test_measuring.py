"""A measure goes on where it was stopped, and answers the same as without a stop."""

import doubles
import numpy as np
import pytest
import torch

import robeval
from robeval.errors import UserError
from robeval.ledger.store import Ledger
from robeval.measures import registry
from robeval.run import measuring
from robeval.run.local import Local
from robeval.values.cell import DataSlice
from robeval.values.measurement import Question


@pytest.fixture(autouse=True)
def short_slices(monkeypatch):
    monkeypatch.setattr(measuring, "SLICE", 10)


@pytest.fixture
def asked(tmp_path):
    """A question about 35 samples, and the ledger it is answered in."""

    def ask(folder="one", module=None, params=None, name="lipschitz", seed=0):
        x = doubles.images(35)
        module = module or doubles.Linear(k=3)
        samples = doubles.samples(x, torch.arange(35) % 3, 3)
        ledger = Ledger(tmp_path / folder)
        loaded = doubles.loaded(module, 3)
        local = Local({"model": loaded}, samples, ledger, torch.device("cpu"), microbatch=8)
        data = DataSlice("made", "test", samples.content, 0, 35)
        entry = registry.find(name)
        given = registry.resolved(entry, {"eps": 0.1} if params is None else params)
        question = Question(name, given, "model", loaded.fingerprint, data, seed=seed)
        return measuring.of_model(question, entry, local), ledger

    return ask


def test_it_goes_on_where_it_was_stopped(asked):
    whole = measuring.answer(*asked())

    def stop(share):
        if share > 0.5:
            raise KeyboardInterrupt

    question, ledger = asked("two")
    with pytest.raises(KeyboardInterrupt):
        measuring.answer(question, ledger, stop)
    assert len(list(ledger.root.glob("parts/lipschitz/*"))) == 3
    assert list(ledger.answers()) == []
    watched = doubles.Watched(doubles.Linear(k=3))
    question, ledger = asked("two", watched)
    again = measuring.answer(question, ledger)
    assert sum(watched.sizes) == 12 * 8  # one slice of 5: 12 forward passes of a microbatch
    assert repr(again.findings) == repr(whole.findings)
    np.testing.assert_array_equal(again.columns["lipschitz"], whole.columns["lipschitz"])
    assert list(again.columns["sample"]) == list(range(35))
    assert not list(ledger.root.glob("parts/lipschitz/*"))


def test_what_is_there_is_not_measured_again(asked):
    question, ledger = asked()
    first = measuring.answer(question, ledger)
    watched = doubles.Watched(doubles.Linear(k=3))
    question, ledger = asked(module=watched)
    again = measuring.answer(question, ledger)
    assert watched.sizes == []
    assert repr(again.findings) == repr(first.findings)


def test_slices_change_nothing(asked, monkeypatch):
    first = measuring.answer(*asked())
    monkeypatch.setattr(measuring, "SLICE", 35)
    second = measuring.answer(*asked("two"))
    assert repr(first.findings) == repr(second.findings)


def test_another_seed_is_another_draw(asked):
    first, second = measuring.answer(*asked()), measuring.answer(*asked("two", seed=1))
    assert first.findings != second.findings
    draws = [measuring.draw_of(Question("tsipras", seed=seed)).random() for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_short_of_memory_it_takes_smaller_microbatches(asked):
    found = measuring.answer(*asked(module=doubles.Watched(doubles.Linear(k=3), most=2)))
    assert found.made_with["microbatch"] == "2"
    assert found.findings[0].value == pytest.approx(measuring.answer(*asked("two")).findings[0].value, rel=1e-4)


def test_nan_is_refused(asked):
    module = doubles.NotANumber(doubles.Linear(k=3))
    with pytest.raises(UserError, match="NaN or infinite"):
        measuring.answer(*asked(module=module))


def test_too_little_memory_for_data_is_said(tmp_path, monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr("robeval.measures.separation.Chebyshev", full)
    with pytest.raises(UserError, match="memory is not enough to measure 'separation' of digits"):
        robeval.measure("separation", dataset="digits", out=tmp_path)


# ── from Python ──


def arrays(n=30, classes=3):
    x = doubles.images(n).numpy()
    return x, np.arange(n) % classes


def test_a_module_on_ones_own_images():
    net = doubles.Linear(k=3)
    found = robeval.measure("margin", net, arrays(), eps=0.1, microbatch=8)
    assert found.ledger is None
    assert set(found.table["at"]) == {"clean", "adversarial"}
    assert len(found.samples) == 30
    assert (found.samples.adversarial <= found.samples.clean + 1e-6).all()
    assert "margin: Linear on data (own:arrays), eps=0.1" in found.to_markdown()


def test_two_models_are_two_answers(tmp_path):
    nets = {"one": doubles.Linear(k=3), "two": doubles.Linear(k=3, seed=1)}
    found = robeval.measure("gradients", nets, arrays(), out=tmp_path, microbatch=8)
    assert list(dict.fromkeys(found.table.model)) == ["one", "two"]
    assert len(list((tmp_path / "measures" / "gradients").iterdir())) == 2


def test_data_beside_data():
    x, y = arrays()
    found = robeval.measure("separation", data=(x[:10], y[:10]), reference=(x[10:], y[10:]))
    apart = np.abs(x[:10, None].astype(np.float64) - x[None, 10:]).max(axis=(2, 3, 4))
    least = apart[y[:10, None] != y[None, 10:]].min()
    assert found.table.value[0] == least
    limited = robeval.measure("separation", data=(x[:10], y[:10]), reference=(x[10:], y[10:]), limit=4)
    assert limited.table.n[0] == 4


def test_theory_from_python():
    table = robeval.measure("tsipras", d=9, n=100).table
    assert (table.subject == "theory").all()


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("gradient", {}, "Did you mean 'gradients'"),
        ("gradients", {}, "no model is given"),
        ("gradients", {"model": doubles.Linear()}, "no card that names its data"),
        ("gradients", {"model": doubles.Linear(), "suite": "digits_linf"}, "takes no suite"),
        ("gradients", {"model": "madry_digits", "dataset": "mnist"}, "it is for digits"),
        ("gradients", {"model": "madry_digit"}, "Did you mean 'madry_digits'"),
        ("gradients", {"model": "madry_digits", "split": "val"}, "has no split 'val'"),
        ("gradients", {"model": "madry_digits", "eps": 1}, "takes no 'eps'"),
        ("lipschitz", {"model": "madry_digits", "eps": 8}, 'Did you mean "8/255"'),
        ("separation", {}, "no data set is given"),
        ("separation", {"dataset": "digit"}, "Did you mean 'digits'"),
        ("separation", {"dataset": "digits", "model": "madry_digits"}, "takes no model"),
        ("separation", {"dataset": "digits", "limit": 0}, "0 samples"),
        ("linear", {"dataset": "digits", "limit": 10}, "fitted to all samples at once"),
        ("distance", {"model": "madry_digits"}, "no suite is given"),
        ("distance", {"model": "madry_digits", "suite": "digits_linff"}, "Did you mean 'digits_linf'"),
        ("spirals", {"dataset": "digits"}, "takes no dataset"),
    ],
)
def test_what_does_not_fit_is_said(name, given, said):
    with pytest.raises(UserError, match=said):
        robeval.measure(name, **given)


def test_a_model_without_gradients():
    class Hard(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.one_hot((x.flatten(1).sum(dim=1) > 18).long(), 3).float()

    with pytest.raises(UserError, match="no gradient to the image"):
        robeval.measure("gradients", Hard(), arrays())
