"""Charts as inline SVG; colours are those of the page's style sheet."""

import math
from collections.abc import Sequence

from robeval.reports.page.content import Bar, PerClass
from robeval.reports.page.curve import Curve, Point
from robeval.reports.page.markup import Markup, join, tag

WIDTH, HEIGHT = 560.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 44.0, 14.0, 12.0, 40.0


def bars(all_bars: Sequence[Bar]) -> Markup:
    """A line for each attack: name, bar with its 95 % interval, and the numbers."""
    return tag("div", *(_line(bar) for bar in all_bars), class_="bars")


def classes(found: Sequence[PerClass]) -> Markup:
    """A line for each class: the accuracy on clean images behind that under all attacks."""
    lines = [
        tag(
            "div",
            tag("span", f"class {each.label}", class_="name"),
            _bar(each.robust, each.natural),
            tag(
                "span",
                tag("b", _percent(each.robust.share)),
                tag("small", f" of {_percent(each.natural)}, n = {each.n}"),
                class_="value",
            ),
            class_="line",
        )
        for each in found
    ]
    return tag("div", *lines, class_="bars")


def _line(bar: Bar) -> Markup:
    if bar.status:
        value = tag("span", bar.status, class_="value missing")
    else:
        interval = f" {100 * bar.low:.1f}–{100 * bar.high:.1f}"
        value = tag("span", tag("b", _percent(bar.share)), tag("small", interval), class_="value")
    name = tag("span", bar.label, class_="name")
    return tag("div", name, _bar(bar), value, class_="line worst" if bar.is_worst else "line")


def _bar(bar: Bar, behind: float = 0.0) -> Markup:
    """A bar from 0 to 100, stretched to any width; the whisker is the interval."""
    if bar.status:
        return tag("svg", class_="bar", viewBox="0 0 100 12", preserveAspectRatio="none", aria_hidden="true")
    share, low, high = (100 * each for each in (bar.share, bar.low, bar.high))
    parts = [tag("rect", class_="ground", width=100, height=12)]
    if behind:
        parts.append(tag("rect", class_="natural", width=_short(100 * behind), height=12))
    parts.append(tag("rect", class_="share", width=_short(share), height=12))
    parts.append(tag("line", class_="whisker", x1=_short(low), x2=_short(high), y1=6, y2=6))
    parts += [tag("line", class_="whisker", x1=_short(end), x2=_short(end), y1=3, y2=9) for end in (low, high)]
    return tag("svg", *parts, class_="bar", viewBox="0 0 100 12", preserveAspectRatio="none", aria_hidden="true")


def curve(curves: Sequence[Curve], eps: float, norm: str) -> Markup:
    """Accuracy in % against the radius, each curve with its intervals; a dashed line at the board's eps."""
    end = max([eps, *(point.radius for each in curves for point in each.points)]) or 1.0
    drawn = [_axes(end, norm), _marked(eps, end)]
    drawn += [_drawn(each, place, end) for place, each in enumerate(curves)]
    label = "Robust accuracy in % against eps: " + "; ".join(each.label for each in curves)
    size = f"0 0 {WIDTH:g} {HEIGHT:g}"
    chart = tag("svg", *drawn, class_="curve", viewBox=size, role="img", aria_label=label)
    legend = [
        tag("li", tag("i", class_=f"key c{place % 4}" + ("" if each.is_line else " dots")), each.label)
        for place, each in enumerate(curves)
    ]
    return join(chart, tag("ul", *legend, class_="legend"))


def _drawn(each: Curve, place: int, end: float) -> Markup:
    at = [(_x(point.radius, end), point) for point in each.points]
    known = [(x, point) for x, point in at if not math.isnan(point.low)]
    band = [f"{x:.1f},{_y(point.high)}" for x, point in known]
    band += [f"{x:.1f},{_y(point.low)}" for x, point in reversed(known)]
    line = tag("polyline", points=" ".join(f"{x:.1f},{_y(point.share)}" for x, point in at))
    parts = [tag("polygon", points=" ".join(band)), line] if each.is_line else [line]
    if not each.is_line:
        for x, point in at:
            parts += [_whisker(x, point), tag("circle", _hover(point), cx=f"{x:.1f}", cy=_y(point.share), r=4)]
    return tag("g", *parts, class_=f"c{place % 4}" + ("" if each.is_line else " dots"))


def _hover(point: Point) -> Markup:
    return tag("title", f"eps {point.radius:.4g}: {_percent(point.share)} %")


def _whisker(x: float, point: Point) -> Markup:
    return tag("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=_y(point.low), y2=_y(point.high))


def _axes(end: float, norm: str) -> Markup:
    parts: list[Markup] = []
    for percent in range(0, 101, 20):
        y = _y(percent / 100)
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y))
        parts.append(tag("text", str(percent), x=LEFT - 8, y=y + 5, text_anchor="end"))
    for step in range(5):
        radius, anchor = end * step / 4, "end" if step == 4 else "middle"
        parts.append(tag("text", f"{radius:.4g}", x=_x(radius, end), y=HEIGHT - BOTTOM + 20, text_anchor=anchor))
    parts.append(tag("text", f"eps ({norm})", x=WIDTH - RIGHT, y=HEIGHT - 4, text_anchor="end"))
    return tag("g", *parts, class_="axes")


def _marked(eps: float, end: float) -> Markup:
    x = _x(eps, end)
    return tag("line", class_="eps", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM)


def _x(radius: float, end: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * radius / end, 1)


def _y(share: float) -> float:
    return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - share), 1)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _short(number: float) -> str:
    return f"{number:.2f}"
