"""Where pictures are drawn: one style, colours that colour-blind readers tell apart, and files of equal bytes."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from robeval.errors import UserError

# Okabe and Ito (2008), without the yellow, which is too light on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
ALARM = "#D55E00"
GREY = "#555555"
FORMS = ("png", "pdf", "svg")
_STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that letters are the same everywhere
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
    "figure.titlesize": 10,
    "pdf.fonttype": 42,  # fonts that publishers take
    "svg.hashsalt": "robeval",  # the same names of parts in every file
}
# What would differ between two files of one picture.
_UNDATED: dict[str, dict[str, str | None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
}


@contextmanager
def styled(where: str) -> Iterator[Any]:
    """Meanwhile what is drawn has this style, whatever the user's own is; gives matplotlib's class of figures.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        from matplotlib import style
        from matplotlib.figure import Figure
    except ImportError:
        fix = "Install it: pip install 'robeval[plot]'. The numbers are plain files, which other programs draw too."
        raise UserError("drawing needs matplotlib, which is not installed", where=where, fix=fix) from None
    with style.context(["default", _STYLE]):
        yield Figure


def encoded(figure: Any, form: str = "png", dpi: int = 200, title: str = "") -> bytes:
    """The bytes of a file, without dates: the same figure gives the same.

    Args:
        form: one of `FORMS`.
        dpi: pixels per inch, where the form has pixels.
        title: noted in the file.
    """
    content = io.BytesIO()
    about = _UNDATED[form] | ({"Title": title} if title else {})
    small = {"pil_kwargs": {"optimize": True}} if form == "png" else {}
    figure.savefig(content, format=form, dpi=dpi, metadata=about, **small)
    return content.getvalue()
