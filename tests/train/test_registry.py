"""The catalog of training methods, and what a method is given."""

import pytest
import torch
from lessons import batch, course, smooth_net

from robeval.train.methods.natural import natural
from robeval.train.registry import Entry, catalog, method


def test_the_catalog_knows_them_and_refuses_a_second_of_one_name():
    known = catalog()
    assert {"natural", "madry", "trades", "bat", "free", "awp"} <= set(known)
    assert list(known) == sorted(known)
    assert [known[name].adversarial for name in ("natural", "madry", "trades")] == [False, True, True]
    assert known["linear_exact"].norms == ("linf", "l2", "l1")
    assert all(entry.summary for entry in known.values())
    with pytest.raises(ValueError, match="two training methods are called 'trades'"):
        method("trades")(natural)


def test_a_method_gets_the_course_if_it_takes_a_third_argument():
    def plain(problem, net, /, *, weight):
        return torch.tensor(weight)

    def with_course(problem, net, course, /, *, weight):
        course.memory["seen"] = torch.tensor(course.epoch)
        return torch.tensor(weight * course.epochs)

    net, now = smooth_net(), course(epoch=7)
    assert Entry("it", plain, "", ()).loss(batch(net), net, now, {"weight": 2.0}) == 2
    assert now.memory == {}
    assert Entry("it", with_course, "", ()).loss(batch(net), net, now, {"weight": 2.0}) == 40
    assert now.memory == {"seen": 7}
