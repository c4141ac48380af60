"""Some of the samples: which, and under which ids."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robeval.datasets import registry
from robeval.datasets.choose import choose, stratified
from robeval.errors import UserError


@given(
    y=st.lists(st.integers(0, 5), min_size=1, max_size=60),
    share=st.floats(0, 1),
    seed=st.integers(0, 9),
)
@settings(max_examples=100, deadline=None)
def test_each_class_has_its_share(y, share, seed):
    y = np.array(y)
    count = max(1, round(share * len(y)))
    rows = stratified(y, count, seed)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert len(rows) == count
    for label in set(y.tolist()):
        exact = count * (y == label).sum() / len(y)
        assert abs((y[rows] == label).sum() - exact) < 1


def test_it_depends_on_the_seed_alone():
    samples = registry.load("digits", "test")
    first, again = (choose(samples, "stratified:100:3") for _ in range(2))
    assert first.content == again.content
    assert first.ids.tolist() == again.ids.tolist()
    assert first.ids[:6].tolist() == [5, 13, 25, 30, 33, 43]  # in every version
    assert choose(samples, "stratified:100:4").ids.tolist() != first.ids.tolist()
    assert choose(samples, "stratified:100").ids.tolist() == choose(samples, "stratified:100:0").ids.tolist()
    assert np.isin(choose(samples, "stratified:50:3").ids, first.ids).mean() > 0.9


@pytest.mark.parametrize("wanted", ["10:20", "stratified:20:1"])
def test_samples_keep_what_they_are(wanted):
    samples = registry.load("digits", "test")
    part = choose(samples, wanted)
    assert part.split == f"test {wanted}"
    assert part.content != samples.content
    assert len(part) == len(part.ids)
    x, y = part.slice(0, len(part))
    for row, place in enumerate(part.ids.tolist()):
        whole, label = samples.slice(place, place + 1)
        assert (x[row] == whole[0]).all()
        assert y[row] == label[0]


@pytest.mark.parametrize(
    "wanted",
    ["", "5", "9:3", "3:3", "0:603", "-1:3", "stratified:0:0", "stratified:603:0", "stratified:x:1", "random:5:1"],
)
def test_what_cannot_be_had(wanted):
    with pytest.raises(UserError) as caught:
        choose(registry.load("digits", "test"), wanted)
    assert caught.value.where == "--sample"
    assert "START:STOP" in caught.value.fix
