from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from streamreplay.errors import RunFolderError
from streamreplay.reading.report import make_report, write_pictures
from streamreplay.reading.report.charts.chart import PAGE, PAPER, Chart, Section
from streamreplay.reading.report.charts.maps import Map, colours, draw_map, ink_on
from streamreplay.reading.report.charts.render import inline_svg
from streamreplay.reading.report.contents import RunReport
from streamreplay.reading.report.page import render_page
from tests.reading.made import Made, write_run

EVIL = '<script>alert("1")</script>&amp;$x_1$'
VOID = {"meta", "link", "br", "img"}


class Page(HTMLParser):
    """The elements of a page; it fails where they are not nested."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = Made(("a", "b", "c", EVIL))
    run = made.write(tmp_path_factory.mktemp("runs") / "run & <b>", job="seed = 0\n")
    return render_page(make_report([run]))


def test_the_page_needs_nothing_else(html: str) -> None:
    page = Page(html)
    links = [a.get("href") or "" for tag in ("a", "link", "use", "image") for a in page.all(tag)]
    links += [a.get("src") or "" for tag in ("img", "script", "iframe") for a in page.all(tag)]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not page.all("script")
    assert not re.findall(r"@import|url\((?!#)", html)


def test_names_cannot_do_anything(html: str) -> None:
    assert "<script" not in html
    assert "<b>" not in html
    assert EVIL in Page(html).text
    assert "run & <b>" in Page(html).text


def test_ids_are_unique_and_links_lead_to_them(html: str) -> None:
    page = Page(html)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(set(ids)) == len(ids)
    used = set(re.findall(r"url\(#([^)]+)\)", html))
    used |= {str(a["href"])[1:] for t in ("a", "use") for a in page.all(t) if a.get("href", "x")}
    assert used <= set(ids)
    assert len(used) > 20


def test_it_can_be_read_without_seeing_it(html: str) -> None:
    page = Page(html)
    images = [a for _, a in page.elements if a.get("role") == "img"]
    assert len(images) == len(page.all("figure")) == 14
    assert all(len(a.get("aria-label") or "") > 30 for a in images)
    assert all(a.get("scope") in ("col", "row") for a in page.all("th"))
    assert len(page.all("figcaption")) == len(page.all("details")) == len(images)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert page.all("html")[0]["lang"] == "en"


def test_all_sections_are_there(html: str) -> None:
    ids = [a.get("id") for a in Page(html).all("section")]
    parts = ["change", "predictions", "retention", "drift", "replay", "probabilities", "cost"]
    parts += ["rows", "origin"]
    assert ids == ["summary", *parts]
    figures = {str(a.get("id")) for a in Page(html).all("figure")}
    assert {f"chart-{name}" for name in ("matrix", "ages", "buffer", "stages")} <= figures


def test_baselines_are_drawn_beside_the_model(tmp_path: Path) -> None:
    report = make_report([Made().write(tmp_path / "run")])
    chart = next(chart for chart in report.charts if chart.name == "predictions")
    assert chart.table is not None
    assert {"the model", "repeating the last label", "the most frequent class"} < {
        *chart.table.header
    }


def test_colours_are_those_of_the_theme(html: str) -> None:
    assert not [colour for colour in PAGE.values() if colour in html]
    css = (Path(render_page.__code__.co_filename).with_name("page.css")).read_text()
    defined = set(re.findall(r"--([a-z0-9]+):", css))
    assert set(re.findall(r"var\(--([a-z0-9]+)\)", html)) <= defined


def themes() -> list[dict[str, str]]:
    css = (Path(render_page.__code__.co_filename).with_name("page.css")).read_text()
    found = [
        dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    ]
    return [*found, dict(PAPER)]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (WCAG 2.2)."""

    def light(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", themes(), ids=["light", "dark", "paper"])
def test_colours_can_be_told_from_the_page(theme: dict[str, str]) -> None:
    for part, colour in theme.items():
        if part in ("text", "soft", "link"):
            for ground in ("page", "raised", "marked"):
                assert contrast(colour, theme.get(ground, theme["page"])) >= 4.5, (part, ground)
        if part.startswith("series"):
            assert contrast(colour, theme["page"]) >= 3, part


@pytest.mark.parametrize("share", [True, False])
def test_every_colour_of_a_map_can_be_told_from_a_dark_page(share: bool) -> None:
    dark = themes()[1]["page"]
    look = colours(np.array([[0.0, 5.0]]), share=share)
    for value in np.linspace(0, 1, 101):
        colour = look["cmap"](value)
        assert contrast(to_hex(colour), dark) >= 3, value
        assert contrast(to_hex(colour), ink_on(colour)) >= 4.5, value


def test_a_good_score_is_bright() -> None:
    white = "#ffffff"
    for share, worst, best in ((True, 0.0, 1.0), (False, 1.0, 0.0)):
        look = colours(np.array([[0.0, 5.0]]), share=share)
        assert contrast(to_hex(look["cmap"](best)), white) < 1.5
        assert contrast(to_hex(look["cmap"](worst)), white) > 5


@pytest.mark.parametrize("blank", [True, False])
def test_a_map_is_hatched_where_it_has_no_value(blank: bool) -> None:
    values = np.array([[np.nan if blank else 0.0, 0.5], [1.0, 0.0]])
    shown = Map(["a", "b"], np.array([100.0, 200.0]), values, ["50 %", "0 %"])
    chart = Chart("map", "", "", "", lambda canvas: draw_map(canvas, shown))
    assert ("<pattern" in inline_svg(chart)) == blank


def test_pages_are_the_same_each_time(tmp_path: Path) -> None:
    kinds = {"probe": False, "drifts": False, "buffer": False}
    report = make_report([write_run(tmp_path / "run", Made().records(**kinds))])
    assert render_page(report) == render_page(report)


def test_what_is_missing_is_said_and_left_out(tmp_path: Path) -> None:
    records = [
        {"kind": "prequential", "position": 100, "experience": 0, "rows": 100, "accuracy": 0.5}
    ]
    report = make_report([write_run(tmp_path / "run", records)])
    page = Page(render_page(report))
    assert (
        "Forgetting was not measured: the job has no probe and no test set. Run with" in page.text
    )
    assert "The job has no drift detector" in page.text
    assert "Nothing was replayed" in page.text
    assert "The cost is not known" in page.text
    assert "probabilities" not in {a.get("id") for a in page.all("section")}


@pytest.mark.parametrize("score", ["numbers", "labels"])
def test_other_targets_have_a_page_too(tmp_path: Path, score: str) -> None:
    main, kept = {"numbers": ("mae", "mae"), "labels": ("exact_match", "f1_micro")}[score]
    records: list[dict[str, Any]] = []
    for position in (100, 200):
        head = {"position": position, "experience_end": True, "rows": position}
        value = {main: 0.5, f"{main}_window": 0.4, f"{main}_fading": 0.4}
        records.append(
            {**head, "kind": "prequential", "experience": position // 200, **value, "replayed": 9}
            | {"no_change": {main: 0.3, f"{main}_window": 0.2}}
        )
        by = {str(i): {"rows": 50, kept: 0.1 * (i + 1)} for i in range(2)}
        after = {"after_experience": position // 200, "forgetting": None}
        records.append({**head, "kind": "retention", **after, kept: 0.6, "by_experience": by})
    report = make_report([write_run(tmp_path / "run", records)])
    names = [chart.name for chart in report.charts]
    assert names == ["predictions", "retention", "matrix", "replay-share"]
    assert ("F1" if score == "labels" else "mean absolute error") in render_page(report)


def test_drifts_are_counted_run_by_run(tmp_path: Path) -> None:
    watched = 'seed = 0\n[[drift]]\ndetector = "ADWIN"\n'
    runs = [
        Made([*"abcdef"]).write(tmp_path / "a", job=watched),
        Made().write(tmp_path / "b", job=watched, drifts=False),
        Made().write(tmp_path / "c", drifts=False),
        Made().write(tmp_path / "d", job=watched + "a = 1\n"),
    ]
    text = Page(render_page(make_report(runs))).text
    assert (
        "a: 2 drifts, 2 warnings; b: nothing found; c: not watched; d: 1 drift, 1 warning. They"
    ) in text


@pytest.mark.parametrize("old", [True, False])
def test_temporal_kappa_is_of_the_window(tmp_path: Path, old: bool) -> None:
    record = Made().prequential(2000) | {"accuracy_window": 0.9, "kappa_temporal": 0.1}
    record["no_change"] = {"accuracy": 0.5, "accuracy_window": 0.6}
    if not old:  # logs of older versions have it of all rows alone
        record["kappa_temporal_window"] = 0.75
    report = make_report([write_run(tmp_path / "run", [record])])
    (chart,) = [chart for chart in report.charts if chart.name == "further"]
    assert chart.table is not None
    values = {row[0]: row[1] for row in chart.table.rows}
    assert values["temporal kappa"] == "0.75"
    assert values["Cohen's kappa, all rows so far"] == "0.8"


def section(report: RunReport, name: str) -> Section:
    (found,) = [each for each in report.sections if each.name == name]
    return found


def changes(*given: tuple[int, float, float], on: str = "error") -> list[dict[str, Any]]:
    drift = Made().drift(1, "drift") | {"on": on}
    means = ("position", "before", "after")
    return [drift | dict(zip(means, each, strict=True)) | {"after_rows": 40} for each in given]


def test_a_drift_has_its_direction_and_size(tmp_path: Path) -> None:
    records = Made().records(drifts=False) + changes((600, 0.9, 0.3), (2600, 0.12, 0.314))
    records += changes((2700, 20.0, 15.0), on="feature:size")
    found = section(make_report([write_run(tmp_path / "run", records)]), "drift")
    assert found.figures is not None
    rows = [[cell.replace("\xa0", " ") for cell in row] for row in found.figures.rows]
    assert [[row[4], *row[1:4]] for row in rows] == [
        ["drift, warm-up", "fell by 60.0 points", "90.0 %", "30.0 %"],
        ["drift", "rose by 19.4 points", "12.0 %", "31.4 %"],
        ["drift", "fell by 5", "20", "15"],
    ]
    assert found.lead.startswith("3 drifts (1 of the warm-up).")


@pytest.mark.parametrize(
    ("given", "on", "early"),
    [
        ([(600, 0.9, 0.3)], "error", 1),
        ([(600, 0.9, 0.3)], "loss", 1),
        ([(600, 0.9, 0.3)], "feature:x", 0),  # no sign that the model learned
        ([(600, 0.3, 0.9), (700, 0.9, 0.3)], "error", 0),  # what fell had risen before
        ([(6000, 0.9, 0.3)], "error", 0),  # late
        ([(600, 0.9, 0.3), (900, 0.3, 0.2)], "error", 2),
    ],
)
def test_a_fall_of_the_error_early_on_is_of_the_warm_up(
    tmp_path: Path, given: list[tuple[int, float, float]], on: str, early: int
) -> None:
    records = [Made().prequential(8000), *changes(*given, on=on)]
    report = make_report([write_run(tmp_path / "run", records)])
    text = Page(render_page(report)).text
    assert text.count(", warm-up") == early
    assert ("of the warm-up, in which the model's own error fell." in text) == bool(early)


def test_many_drifts_are_counted_in_stretches(tmp_path: Path) -> None:
    given = [(100 + 10 * i, 0.2, 0.2 + 0.001 * i) for i in range(50)]
    records = [Made().prequential(4000), *changes(*given, (3000, 0.5, 0.1))]
    report = make_report([write_run(tmp_path / "run", records)])
    figures = section(report, "drift").figures
    assert figures is not None
    rows = [[cell.replace("\xa0", " ") for cell in row] for row in figures.rows]
    assert rows == [
        ["1 to 200", "11", "10", "0", "error rose by 1.0 points", "20.0 %", "21.0 %", "0"],
        ["201 to 400", "20", "20", "0", "error rose by 3.0 points", "20.0 %", "23.0 %", "0"],
        ["401 to 600", "19", "19", "0", "error rose by 4.9 points", "20.0 %", "24.9 %", "0"],
        ["2,801 to 3,000", "1", "0", "1", "error fell by 40.0 points", "50.0 %", "10.0 %", "0"],
    ]
    assert sum(int(row[1]) for row in rows) == 51
    (chart,) = [chart for chart in report.charts if chart.name == "predictions"]
    assert "many close together as one" in chart.caption


def test_drifts_of_older_logs_have_no_size(tmp_path: Path) -> None:
    report = make_report([Made().write(tmp_path / "run")])
    found = section(report, "drift")
    assert found.figures is not None
    assert {row[1:4] for row in found.figures.rows} == {("-", "-", "-")}
    assert "Logs of older versions do not have the direction" in found.lead


def test_stages_of_several_learners_are_drawn(tmp_path: Path) -> None:
    made = Made(learner="x")
    job = '[[learner]]\nname = "x"\n'
    run = write_run(tmp_path / "run", made.records(), timings=made.timings(), job=job)
    (chart,) = [each for each in make_report([run]).charts if each.name == "stages"]
    assert chart.table is not None
    assert ("x.learner", "60.0\xa0%", "2.4") in chart.table.rows


def test_a_long_legend_leaves_the_axes_their_height(tmp_path: Path) -> None:
    made = Made(learner="x")
    names = [f"a-learner-with-a-long-name-{i}.learner" for i in range(24)]
    stages = {name: {"p50_ms": 1.0, "p99_ms": 2.0, "share": 0.04} for name in names}
    timings = [{**each, "stages": stages} for each in made.timings()]
    job = '[[learner]]\nname = "x"\n'
    run = write_run(tmp_path / "run", made.records(), timings=timings, job=job)
    (chart,) = [each for each in make_report([run]).charts if each.name == "stages"]
    for narrow, more in ((False, 0.5), (True, 2)):  # inches, for a line of each name or two
        box = re.search(r'viewBox="0 0 \S+ (\S+)"', inline_svg(chart, narrow=narrow))
        assert box is not None
        assert float(box[1]) > 72 * (chart.height + more)


def test_targets_of_two_kinds_are_not_mixed(tmp_path: Path) -> None:
    one = Made().write(tmp_path / "one")
    record = {"kind": "prequential", "position": 9, "experience": 0, "rows": 9, "mae": 1.0}
    other = write_run(tmp_path / "other", [record])
    with pytest.raises(RunFolderError, match=r"other: predicts numbers, but .*one predicts cl"):
        make_report([one, other])


def test_many_classes_experiences_and_runs_fit(tmp_path: Path) -> None:
    made = Made([f"class {i}" for i in range(120)], rows=100, every=50)
    runs = [
        made.write(tmp_path / f"run{i}", job=f'seed = {i}\n[buffer]\nkind = "{i}"\n')
        for i in range(6)
    ]
    report = make_report(runs)
    charts = {chart.name: chart for chart in report.charts}
    assert {"classes-3", "retention-classes-3", "matrix-3", "buffer-3"} < set(charts)
    assert not [name for name in charts if name.endswith("-4")]
    assert "experiences ended, too many to mark them" in charts["predictions"].caption
    table = charts["retention-classes"].table
    assert table is not None
    assert len(table.rows) == 40
    assert "show the first 4 only" in " ".join(section(report, "retention").missing)
    for name in ("predictions", "retention-classes", "classes-at-end", "matrix", "buffer"):
        assert "<path" in inline_svg(charts[name], narrow=True)


@pytest.mark.parametrize(("rows", "marked"), [(2000, False), (2500, True), (4000, True)])
def test_boundaries_are_said_where_they_are_drawn(tmp_path: Path, rows: int, marked: bool) -> None:
    records = [each for each in Made().records(drifts=False) if each["position"] <= rows]
    report = make_report([write_run(tmp_path / "run", records)])
    (chart,) = [each for each in report.charts if each.name == "predictions"]
    assert ("Vertical lines: ends of experiences." in chart.caption) == marked
    assert ("end of an experience" in inline_svg(chart, narrow=False)) == marked


def test_pictures_are_drawn(tmp_path: Path) -> None:
    records = Made(("a", "b", "$\\frac$", "_d")).records(test=False, drifts=False)
    report = make_report([write_run(tmp_path / "run", records)])
    pictures = write_pictures(report, tmp_path / "deep" / "png", "png")
    assert [path.stem for path in pictures] == [chart.name for chart in report.charts]
    for path in pictures:
        with Image.open(path) as image:
            assert image.width == 1520
            assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 20
    for path in write_pictures(report, tmp_path / "svg", "svg"):
        svg = path.read_text()
        assert "var(--" not in svg
        assert PAPER["page"] in svg
        assert svg.count("<path") >= 5
