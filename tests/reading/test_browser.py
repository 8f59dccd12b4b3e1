"""The page as a browser shows it: headless Chromium, in both themes and at a phone's width."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from streamreplay.reading.report import make_report, write_page
from tests.reading.made import Made

REQUIRED = bool(os.environ.get("STREAMREPLAY_BROWSER"))  # where a missing browser is a failure
WIDE, PHONE = 1100, 390
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        if REQUIRED:
            pytest.fail("chromium and chromedriver are not installed")
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")
    options = ChromeOptions()
    options.binary_location = chromium
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    made = Chrome(options=options, service=Service(driver))
    yield made
    made.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on two runs, with every section and names that are long or mean harm."""
    folder = tmp_path_factory.mktemp("pages")
    evil = "<script>document.title = 'harm'</script> and a name that is very long indeed"
    classes = ["T-shirt", "Trouser", "Pullover", evil]
    runs = [
        Made(classes, kept=kept).write(
            folder / f"a-run-with-a-rather-long-name-{kept}", job=f"seed = 0\nkept = {kept}\n"
        )
        for kept in (0.2, 0.9)
    ]
    write_page(make_report(runs), folder / "report.html")
    return folder / "report.html"


def console(browser: Any) -> Any:
    """Return what the browser had to say since it was last asked."""
    return browser.get_log("browser")


@pytest.fixture(params=["light-wide", "light-phone", "dark-wide", "dark-phone"])
def shown(request: pytest.FixtureRequest, browser: Chrome, page: Path) -> tuple[Chrome, str, int]:
    theme, size = str(request.param).split("-")
    width = PHONE if size == "phone" else WIDE
    features = [{"name": "prefers-color-scheme", "value": theme}]
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    console(browser)  # forget what other pages said
    browser.get(page.as_uri())
    return browser, theme, width


CHARTS = """
return [...document.querySelectorAll("figure .chart")].map(chart => {
  const svg = [...chart.querySelectorAll("svg")].filter(each => each.getClientRects().length);
  const drawn = svg.flatMap(each => [...each.querySelectorAll("path, image, use")]);
  const sizes = drawn.map(each => each.getBoundingClientRect());
  const texts = svg.flatMap(each => [...each.querySelectorAll("text")]);
  const letters = texts.map(each => parseFloat(getComputedStyle(each).fontSize)
    * svg[0].getBoundingClientRect().width / svg[0].viewBox.baseVal.width);
  const box = svg[0].getBoundingClientRect();
  return {
    name: chart.closest("figure").id,
    shown: svg.length,
    width: box.width,
    drawn: sizes.filter(each => each.width > 0 || each.height > 0).length,
    area: sizes.some(each => each.width > 20 && each.height > 5),
    smallest: Math.min(...letters),
    outside: texts.filter(each => {
      const at = each.getBoundingClientRect();
      return at.left < box.left - 1 || at.right > box.right + 1 || at.top < box.top - 1
        || at.bottom > box.bottom + 1;
    }).map(each => each.textContent),
  };
});
"""


def test_it_is_shown_without_complaint(shown: tuple[Chrome, str, int]) -> None:
    browser, _, _ = shown
    assert console(browser) == []
    assert browser.title.startswith("a-run-with-a-rather-long-name-0.2")
    resources = browser.execute_script("return performance.getEntriesByType('resource').length")
    assert resources == 0


def test_every_chart_is_drawn_and_fits(shown: tuple[Chrome, str, int]) -> None:
    browser, _, width = shown
    charts: list[dict[str, Any]] = browser.execute_script(CHARTS)
    assert len(charts) == 23
    for chart in charts:
        name = chart["name"]
        assert chart["shown"] == 1, name  # of the two, for a wide page and for a narrow one
        assert chart["width"] > 0.7 * min(width, 900), name
        assert chart["drawn"] > 5, name
        assert chart["area"], name
        assert chart["smallest"] >= 8, (name, chart["smallest"])
        assert chart["outside"] == [], name


def test_the_page_does_not_scroll_sideways(shown: tuple[Chrome, str, int]) -> None:
    browser, _, width = shown
    for step in ("", "document.querySelectorAll('details').forEach(each => each.open = true);"):
        wide = "const page = document.documentElement; return [page.scrollWidth, page.clientWidth]"
        scrolled, seen = browser.execute_script(step + wide)
        assert scrolled == seen
        assert width - 20 <= seen <= width  # but for a scroll bar


def test_the_theme_is_followed(shown: tuple[Chrome, str, int]) -> None:
    browser, theme, _ = shown
    ground, letter, series = browser.execute_script(
        """
        const style = element => getComputedStyle(element);
        const text = document.querySelector("figure svg text");
        const line = document.querySelector("figure svg path[style*='--series1']");
        return [style(document.body).backgroundColor, style(text).fill, style(line).stroke];
        """
    )
    light = theme == "light"
    soft = "rgb(87, 96, 106)" if light else "rgb(163, 173, 184)"
    text = "rgb(27, 31, 36)" if light else "rgb(230, 233, 237)"
    assert ground == ("rgb(255, 255, 255)" if light else "rgb(21, 24, 28)")
    assert letter in (soft, text)
    assert series == ("rgb(0, 114, 178)" if light else "rgb(86, 180, 233)")


def test_it_is_printed_light_and_wide(browser: Chrome, page: Path) -> None:
    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": features})
    browser.get(page.as_uri())
    ground, wide, narrow, menu = browser.execute_script(
        """
        const style = name => getComputedStyle(document.querySelector(name));
        return [style("body").backgroundColor, style(".chart .wide").display,
          style(".chart .narrow").display, style("nav").display];
        """
    )
    assert (ground, wide, narrow, menu) == ("rgb(255, 255, 255)", "block", "none", "none")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
