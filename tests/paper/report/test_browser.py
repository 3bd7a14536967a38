"""The page in a real headless browser, from ``file://``, at desk and phone width."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_runs import fake_params, write_core

from gigatok.evaluation.timing.times import Timing, TimingTable, timing_path
from gigatok.paper.report.build import build_report

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (BROWSER and DRIVER),
    reason="no browser here: install Chromium and its driver (Debian: apt install chromium chromium-driver)",
)
DESK, PHONE = (1320, 900), (390, 844)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``index.html`` of suite ``core``."""
    runs, out = tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("reports")
    write_core(runs)
    same = dict.fromkeys(("B", "L", "XXL"), Timing(median=1.0, fastest=1.0, slowest=1.0))
    about = {"clock": "CPU time of the one thread", "commit": "f00d" * 10, "dirty": True}
    TimingTable(scale="profile nano", decode=same, sample=same, about=about).write(timing_path(runs))
    return build_report(runs, fake_params(), out)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium that may load nothing from a network."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=str(DRIVER)))
    yield driver
    driver.quit()


def show(browser: Any, page: Path, size: tuple[int, int]) -> None:
    width, height = size
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    browser.get(page.as_uri())


def test_no_error_is_logged_and_every_picture_is_shown(browser: Any, page: Path) -> None:
    show(browser, page, DESK)
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    widths = browser.execute_script("return [...document.images].map((image) => image.naturalWidth)")
    assert len(widths) > 20
    assert min(widths) > 0
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0 or all(
        name.startswith("data:")
        for name in browser.execute_script("return performance.getEntriesByType('resource').map((each) => each.name)")
    )


@pytest.mark.parametrize("cell", ["s-s-rfid", "table02-3-rfid"])
def test_a_press_opens_where_a_number_comes_from(browser: Any, page: Path, cell: str) -> None:
    show(browser, page, DESK)
    button = browser.find_element("css selector", f'button.cell[popovertarget="{cell}"]')
    assert button.get_attribute("title")  # what hovering shows
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
    details = browser.find_element("id", cell)
    assert not details.is_displayed()
    button.click()
    assert details.is_displayed()
    for known in ("d" * 64, "p" * 16, "567 images scored", "seed"):
        assert known in details.text
    details.find_element("css selector", "button").click()
    assert not details.is_displayed()


def test_keys_reach_and_open_a_cell(browser: Any, page: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, page, DESK)
    button = browser.find_element("css selector", 'button.cell[popovertarget="table02-3-rfid"]')
    button.send_keys(Keys.ENTER)
    assert browser.find_element("id", "table02-3-rfid").is_displayed()


def test_a_heading_sorts(browser: Any, page: Path) -> None:
    show(browser, page, DESK)
    heads = browser.find_elements("css selector", "#table table.sortable thead th")
    place = next(place for place, head in enumerate(heads) if head.text.startswith("rFID"))
    browser.execute_script("arguments[0].querySelector('button').click()", heads[place])
    values = browser.execute_script(
        "return [...document.querySelector('#table table.sortable').tBodies[0].rows]"
        ".map((row) => Number(row.cells[arguments[0]].dataset.value))",
        place,
    )
    assert values == sorted(values)


def test_nothing_hangs_over_at_phone_width(browser: Any, page: Path) -> None:
    show(browser, page, PHONE)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
    button = browser.find_element("css selector", 'button.cell[popovertarget="table02-3-rfid"]')
    browser.execute_script(
        "arguments[0].scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'}); arguments[0].click()",
        button,
    )
    box = browser.find_element("id", "table02-3-rfid").rect
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE[0]
