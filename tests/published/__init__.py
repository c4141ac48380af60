"""What the recipes of the papers have to be: from their names, the printed tables and the published loops.

Written without a look at `zoo/papers`: each file says, for the models of one paper, every key that decides what is
trained. Numbers are those of the papers and of the code that their authors released, or ours where a note says so.
"""

from published.bat import bat
from published.keys import PLAIN, UNCHANGED, Keys, UnexpectedError
from published.trades import trades
from published.tsipras import madry, tsipras
from published.yang import yang

PAPERS = {
    "trades": (trades, "arXiv:1901.08573"),
    "bat": (bat, "arXiv:1811.10716"),
    "yang": (yang, "arXiv:2003.02460"),
    "tsipras": (tsipras, "arXiv:1805.12152"),
    "madry": (madry, "arXiv:1706.06083"),
}


def expected(name: str) -> Keys:
    """All that a recipe says: data set, paper, network, input, method and its keywords, ball and loop.

    Raises:
        UnexpectedError: nothing is known of that name.
    """
    paper = name.split("_")[0]
    if paper not in PAPERS:
        raise UnexpectedError(f"no expectation for the recipe '{name}': write one")
    models, cite = PAPERS[paper]
    found = models(name)
    ball = {"norm": found["norm"], "eps": found["eps"]} if "eps" in found else {}
    return {"paper": cite, "input": UNCHANGED, **found, "loop": PLAIN | found["loop"] | ball}
