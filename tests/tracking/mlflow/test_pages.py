"""MLflow's pages in a real headless browser, by what is on the screen."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tracking_helpers import destination_of, finish, info, score, train

from gigatok.artifacts import Workspace
from gigatok.config import load_params
from gigatok.config.profiles import render
from gigatok.tracking.record import begin_record, end_record
from gigatok.tracking.sync import sync

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(
        not (BROWSER and DRIVER),
        reason="no browser here: install Chromium and its driver (Debian: apt install chromium chromium-driver)",
    ),
    pytest.mark.timeout(400),
    pytest.mark.slow,
    pytest.mark.long(30),
]
NAMES = ("S-S", "S-B", "B-L", "L-XL", "XL-XXL")
SECONDS = 120.0


@pytest.fixture
def browser() -> Iterator[Any]:
    """Headless Chromium that may load nothing but the server on this machine."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=str(DRIVER)))
    driver.set_window_size(1500, 1000)
    yield driver
    driver.quit()


@pytest.fixture
def tracked(project: Workspace) -> Workspace:
    """Five sizes, larger and better."""
    (project.root / "dvc.yaml").write_text("stages: {}\n")
    (project.root / "params.yaml").write_text(render("smoke"))
    section = load_params(project.root / "params.yaml").tracking
    for number, name in enumerate(NAMES):
        run = project.tokenizer(name)
        told = info(name, metrics={"parameters": 1000.0 * (number + 1)})
        record = begin_record(run, told, section.experiment, destination_of(project, section).fingerprint)
        train(run)
        finish(run, f"weights of {name}")
        end_record(run, record, "FINISHED", None)
        score(run, 9.0 - number)
    sync(project.runs, section)
    return project


def test_the_printed_address_opens_the_comparison_with_axes_chosen(
    tracked: Workspace, browser: Any, screenshots: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ("ui", "--port", str(port), "--compare", "s,b,l,xl,3b")
    log = tracked.root / "ui.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "gigatok.cli.app", *words],
            cwd=tracked.root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=file,
            stderr=file,
        )
    try:
        _wait(lambda: _answers(port))
        line = next(each for each in log.read_text().splitlines() if each.startswith("comparison: "))
        address = line.removeprefix("comparison: ")
        browser.get(address)
        _wait(lambda: {"parameters", "rfid/efficientnet-lite2", *NAMES} <= _on_plot(browser))
        _close_assistant(browser)
        _wait(lambda: {"parameters", "rfid/efficientnet-lite2", *NAMES} <= _on_plot(browser))
        browser.save_screenshot(str(screenshots / "mlflow-comparison.png"))
        assert "5 matching runs" in _text(browser)
        browser.get("about:blank")
        browser.get(address.partition("&compareRunsMode")[0])
        _wait(lambda: "matching runs" in _text(browser))
        browser.save_screenshot(str(screenshots / "mlflow-runs.png"))
        assert "workflowType=machine_learning" in browser.current_url
        for shown in ("Run Name", "Duration", "nano-core"):  # the table of model training, not traces of GenAI
            assert shown in _text(browser)
    finally:
        process.terminate()
        process.wait(30)


def _text(browser: Any) -> str:
    return str(browser.find_element("tag name", "body").text)


def _close_assistant(browser: Any) -> None:
    """MLflow opens a panel of its own beside the page, which leaves no room for plots."""
    browser.execute_script(
        "document.querySelector('[data-component-id=\"mlflow.assistant.chat_panel.close\"]')?.click()"
    )


def _on_plot(browser: Any) -> set[str]:
    """Texts of the page: axis titles and labels of points stand in lines of their own."""
    return {line.strip() for line in _text(browser).splitlines()}


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _wait(ready: Callable[[], bool]) -> None:
    from selenium.common.exceptions import StaleElementReferenceException

    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            if ready():
                return
        except StaleElementReferenceException:
            pass
        time.sleep(0.5)
    raise AssertionError("the page does not show it")
