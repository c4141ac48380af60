"""Contents become figures that hold exactly what they say."""

import io

import numpy as np
import pytest
from PIL import Image

from robeval import canvas
from robeval.errors import UserError
from robeval.pictures import draw
from robeval.pictures.content import Bins, Chart, Grid, Histogram, Line, Panel, Point, Scatter, Strip

pytest.importorskip("matplotlib", reason="drawing needs the extra `plot`")


def line(label="one", colour=0, **more):
    x = np.array([0.0, 0.1, 0.2])
    return Line(label, x, np.array([90.0, 60, 30]), np.array([85.0, 55, 25]), np.array([95.0, 65, 35]), colour, **more)


def grid(rows=2, columns=3):
    pixels = np.linspace(0, 1, 64).reshape(8, 8)
    strips = [
        Strip(f"row {row}", tuple(Panel(pixels / (row + 1), str(place), alarm=place == 1) for place in range(columns)))
        for row in range(rows)
    ]
    return Grid("A grid", "A note", tuple(f"head {place}" for place in range(columns)), tuple(strips))


CHART = Chart("A chart", "A note", "radius", "accuracy, %", (line(), line("other", 1, dashed=True)))
SETS = (Bins("some", np.linspace(0, 1, 5), np.array([0.0, 25, 50, 25]), 0.3),)
HISTOGRAM = Histogram("A histogram", "A note", "distance", "images, %", SETS, 0.4, "2ε = 0.4")
SCATTER = Scatter("A plane", "A note", "natural", "robust", (Point("net", 90.0, (88.0, 92.0), 40.0, (37.0, 43.0)),))
every_content = pytest.mark.parametrize("content", [grid(), CHART, HISTOGRAM, SCATTER], ids=lambda it: it.title)


@pytest.fixture
def drawn():
    with canvas.styled("a test") as figure:
        yield lambda content: draw.draw(content, figure)


def test_each_panel_has_its_image_caption_and_head(drawn):
    content = grid(2, 3)
    axes = drawn(content).axes
    assert len(axes) == 6
    for place, each in enumerate(axes):
        panel = content.strips[place // 3].panels[place % 3]
        (shown,) = each.get_images()
        assert np.array_equal(shown.get_array(), panel.pixels)
        assert shown.get_interpolation() == "nearest"
        assert each.get_xlabel() == panel.caption
        assert (each.xaxis.label.get_fontweight() == "bold") == panel.alarm
    assert [each.get_title() for each in axes] == ["head 0", "head 1", "head 2", "", "", ""]
    assert [axes[0].get_ylabel(), axes[3].get_ylabel(), axes[4].get_ylabel()] == ["row 0", "row 1", ""]


def test_zero_is_white_where_signs_matter_and_colours_stay(drawn):
    signed = Panel(np.array([[-1.0, 0], [0.5, 1]]), signed=True)
    colours = Panel(np.random.default_rng(0).random((4, 4, 3)))
    made = drawn(Grid("A grid", "", ("", ""), (Strip("", (signed, colours)),)))
    left, right = (axes.get_images()[0] for axes in made.axes)
    red, white, _, blue = left.to_rgba(left.get_array())[..., :3].reshape(4, 3)
    assert white.min() > 0.95
    assert red[0] > red[2] + 0.2
    assert blue[2] > blue[0] + 0.2
    assert np.array_equal(right.get_array(), colours.pixels)


def test_a_curve_is_its_points_with_their_intervals(drawn):
    (axes,) = drawn(CHART).axes
    solid, dashed = axes.get_lines()
    assert np.array_equal(solid.get_xdata(), [0, 0.1, 0.2])
    assert np.array_equal(solid.get_ydata(), [90, 60, 30])
    assert dashed.is_dashed()
    assert not solid.is_dashed()
    assert solid.get_color() != dashed.get_color()
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (25, 95)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "other"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("radius", "accuracy, %")


def test_a_histogram_marks_the_least_and_the_wanted_distance(drawn):
    (axes,) = drawn(HISTOGRAM).axes
    assert sorted(each.get_xdata()[0] for each in axes.get_lines()) == [0.3, 0.4]
    assert np.array_equal(axes.patches[0].get_data().values, SETS[0].shares)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["some", "2ε = 0.4"]


def test_a_point_has_bars_both_ways(drawn):
    (axes,) = drawn(SCATTER).axes
    ends = sorted(segment.tolist() for each in axes.collections for segment in each.get_segments())
    assert ends == [[[88, 40], [92, 40]], [[90, 37], [90, 43]]]
    assert axes.get_xlim()[0] <= 88


@every_content
def test_files_open_and_are_the_same_every_time(content, tmp_path):
    draw.write(content, tmp_path / "one.png", 50)
    draw.write(content, tmp_path / "again.png", 50)
    draw.write(content, tmp_path / "fine.png", 100)
    written = (tmp_path / "one.png").read_bytes()
    assert written == (tmp_path / "again.png").read_bytes()
    small, fine = Image.open(io.BytesIO(written)), Image.open(tmp_path / "fine.png")
    assert small.info["Title"] == content.title
    assert fine.size == pytest.approx((2 * small.width, 2 * small.height), abs=2)
    assert min(small.size) > 100


@pytest.mark.parametrize(("form", "begins"), [("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_lines_stay_lines_in_papers(form, begins, tmp_path):
    paths = [tmp_path / f"{name}.{form}" for name in ("one", "again")]
    for path in paths:
        draw.write(CHART, path, 200)
    assert paths[0].read_bytes().startswith(begins)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_style_of_the_user_changes_nothing(tmp_path):
    import matplotlib

    draw.write(CHART, tmp_path / "one.png", 80)
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black", "figure.dpi": 37}):
        draw.write(CHART, tmp_path / "own.png", 80)
        assert matplotlib.rcParams["font.size"] == 20
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "own.png").read_bytes()


@pytest.mark.parametrize("name", ["picture", "picture.jpg"])
def test_another_ending_is_refused(name, tmp_path):
    with pytest.raises(UserError, match=r"does not end in \.png, \.pdf, \.svg"):
        draw.refuse(tmp_path / name)
    with pytest.raises(UserError, match="does not end"):
        draw.write(CHART, tmp_path / name, 100)


def test_a_long_title_is_broken_into_lines(drawn):
    content = Chart("word " * 60, "note " * 100, "x", "y", (line(),))
    made = drawn(content)
    made.canvas.draw()
    for text in (made._suptitle, made._supxlabel):
        assert "\n" in text.get_text()
        assert text.get_window_extent().x1 <= made.bbox.width
