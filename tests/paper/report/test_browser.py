"""The pages in a real headless browser: at desk and phone width, in print, and as axe-core sees them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(
        not (BROWSER and DRIVER),
        reason="no browser here: install Chromium and its driver (Debian: apt install chromium chromium-driver)",
    ),
    pytest.mark.long(25),
]
DESK, PHONE = (1320, 900), (390, 844)


@pytest.fixture(scope="module")
def page(core_report: Path) -> Path:
    """``index.html`` of suite ``core``."""
    return core_report / "index.html"


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


@pytest.mark.parametrize(("name", "size"), [("desk", DESK), ("phone", PHONE)])
def test_first_screens_are_kept(browser: Any, page: Path, screenshots: Path, name: str, size: tuple[int, int]) -> None:
    show(browser, page, size)
    kept = screenshots / f"report-{name}.png"
    assert browser.save_screenshot(str(kept))
    with Image.open(kept) as picture:
        assert len(picture.convert("L").getcolors() or ()) > 16  # no empty page


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


COLUMN = """
const value = (row) => row.cells[arguments[0]].dataset.value;
const bodies = [...document.querySelectorAll("#scaling-table tbody")];
return bodies.map((body) => [...body.querySelectorAll("tr:not(.group)")].map(value));
"""


def test_a_heading_sorts_every_group_and_says_so(browser: Any, page: Path) -> None:
    show(browser, page, DESK)
    heads = browser.find_elements("css selector", "#scaling-table thead th")
    assert {head.get_attribute("aria-sort") for head in heads} == {"none"}
    place = next(place for place, head in enumerate(heads) if head.text.startswith("rFID"))
    button = heads[place].find_element("css selector", "button")
    assert button.rect["width"] == pytest.approx(heads[place].rect["width"], abs=2)  # the whole heading can be pressed
    for state, reverse in (("ascending", False), ("descending", True)):
        browser.execute_script("arguments[0].click()", button)
        groups = [[float(value) for value in group] for group in browser.execute_script(COLUMN, place)]
        assert [len(group) for group in groups] == [6, 3]
        assert all(group == sorted(group, reverse=reverse) for group in groups)
        assert [head.get_attribute("aria-sort") for head in heads].count("none") == len(heads) - 1
        assert heads[place].get_attribute("aria-sort") == state


def test_the_first_view_has_eight_columns_and_a_switch_shows_all(browser: Any, page: Path) -> None:
    show(browser, page, DESK)
    heads = browser.find_elements("css selector", "#scaling-table thead th")
    assert sum(head.is_displayed() for head in heads) == 8
    switch = browser.find_element("css selector", 'button.switch[aria-controls="scaling-table"]')
    assert switch.text == f"All {len(heads)} columns"
    for pressed, shown in (("true", len(heads)), ("false", 8)):
        browser.execute_script("arguments[0].click()", switch)
        assert switch.get_attribute("aria-pressed") == pressed
        assert sum(head.is_displayed() for head in heads) == shown


@pytest.mark.parametrize("table", ["table03-table", "table10-table", "scaling-table"])
def test_on_a_phone_most_of_a_tables_width_is_data(browser: Any, page: Path, table: str) -> None:
    """What stays in place while a table scrolls must not cover what scrolls."""
    show(browser, page, PHONE)
    frame, name = browser.execute_script(
        "const table = document.getElementById(arguments[0]), frame = table.parentElement;"
        "frame.scrollLeft = 1e6;"
        "return [frame.clientWidth, table.querySelector('tbody tr:not(.group) th').getBoundingClientRect().width]",
        table,
    )
    assert 0 < name < 0.4 * frame


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


CONTRAST = "color-contrast"
EVERYTHING: dict[str, Any] = {"resultTypes": ["violations"]}
BUT_CONTRAST = {**EVERYTHING, "rules": {CONTRAST: {"enabled": False}}}
CONTRAST_ALONE = {**EVERYTHING, "runOnly": [CONTRAST]}


@pytest.mark.parametrize(
    ("size", "scheme", "options"),
    [(DESK, "light", EVERYTHING), (PHONE, "light", BUT_CONTRAST), (DESK, "dark", CONTRAST_ALONE)],
    ids=["desk", "phone", "dark"],
)
@pytest.mark.parametrize("file", ["index.html", "claims/cure.html"])
def test_axe_finds_no_violation(
    browser: Any, page: Path, file: str, size: tuple[int, int], scheme: str, options: dict[str, Any]
) -> None:
    """Colours are those of the scheme, whatever the width."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    show(browser, page.parent / file, size)
    browser.execute_script((resources.files("selenium_axe_python") / "axe-core" / "axe.min.js").read_text())
    found = browser.execute_async_script(
        "const done = arguments[1]; axe.run(document, arguments[0]).then(done)", options
    )
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found["violations"]] == []
    assert len(found["passes"]) >= (15 if options is not CONTRAST_ALONE else 1)


def test_on_a_phone_the_text_of_figures_is_not_shrunk(browser: Any, page: Path) -> None:
    show(browser, page, PHONE)
    shown, asked = browser.execute_script(
        "const image = document.querySelector('.beside img');"
        "return [image.getBoundingClientRect().width, Number(image.getAttribute('width'))]"
    )
    assert shown == pytest.approx(asked, abs=1)


def test_motion_is_reduced_where_the_system_asks_for_it(browser: Any, page: Path) -> None:
    show(browser, page, DESK)
    behaviour = "return getComputedStyle(document.documentElement).scrollBehavior"
    assert browser.execute_script(behaviour) == "smooth"
    media = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    assert browser.execute_script(behaviour) == "auto"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_the_tab_key_reaches_skip_link_controls_and_tables(browser: Any, page: Path) -> None:
    """In the order of the page, each with a name that a screen reader says."""
    from selenium.webdriver.common.keys import Keys

    show(browser, page, DESK)
    names = []
    for _ in range(12):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        focused = browser.switch_to.active_element
        names.append(focused.accessible_name)
    assert names[0] == "To the content"
    assert all(names)
    assert len(set(names)) == len(names)


def test_printed_it_is_a_paper(browser: Any, page: Path) -> None:
    """No controls, no bars, no folded parts; everything as wide as the sheet."""
    show(browser, page, (718, 1000))  # A4 without margins, at 96 pixels an inch
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    hidden = ("header.top", "button.switch", "footer", "a.skip")
    assert [name for name in hidden if browser.find_element("css selector", name).is_displayed()] == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 718
    wide = browser.execute_script(
        "return [...document.querySelectorAll('.scroll > table')].filter("
        "(each) => each.offsetParent && each.getBoundingClientRect().right > 719).map((each) => each.id)"
    )
    assert wide == []
    assert browser.find_element("css selector", "h1").value_of_css_property("color") == "rgba(0, 0, 0, 1)"
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
