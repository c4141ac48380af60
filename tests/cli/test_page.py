"""What the generated pages are made of."""

from robeval.cli import page


class Described:
    """Something.

    Attributes:
        one, two: what they are, and
            how it goes on.
        three: another.
    """


class Plain:
    """Nothing of attributes."""


def test_attributes_are_read_from_the_docstring():
    shared = "what they are, and how it goes on."
    assert page.attributes(Described) == {"one": shared, "two": shared, "three": "another."}
    assert page.attributes(Plain) == {}


def test_papers_are_linked():
    assert page.link("arXiv:1706.06083") == "[arXiv:1706.06083](https://arxiv.org/abs/1706.06083)"
    assert page.link("https://openreview.net/x") == "[openreview.net/x](https://openreview.net/x)"
    assert page.link("") == ""
