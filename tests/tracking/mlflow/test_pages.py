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
import yaml
from cli_harness import small_tokenizer_config
from PIL import Image
from tracking_helpers import client_of, destination_of, info, runs_of, score, train

from gigatok.artifacts import Workspace
from gigatok.config import load_params
from gigatok.config.profiles import render
from gigatok.data import prepare
from gigatok.interop import save_model
from gigatok.models import Tokenizer
from gigatok.pipeline.registry.models import log_models
from gigatok.tracking import note_artifact
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
GRID = 37
"""Side of a sample grid in pixels; no icon of the pages has it."""
SECONDS = 120.0


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Workspace:
    """Five sizes, larger and better, each with a sample grid at two steps; S-S is logged as a model."""
    project = Workspace(tmp_path_factory.mktemp("pages"))
    shutil.copy(empty_database, project.root / "mlflow.db")
    (project.root / "dvc.yaml").write_text("stages: {}\n")
    values = yaml.safe_load(render("smoke"))
    values["prepare"] |= {"image_size": 16, "limit_concepts": 20}
    values["train_tokenizer"]["model"]["num_tokens"] = 4
    values["tracking"] = {"experiment": "gigatok"}
    (project.root / "params.yaml").write_text(yaml.safe_dump(values))
    params = load_params(project.root / "params.yaml")
    prepare(params.prepare, params.base, project.data)
    for number, name in enumerate(NAMES):
        run = project.tokenizer(name)
        told = info(name, metrics={"parameters": 1000.0 * (number + 1)})
        record = begin_record(run, told, params.tracking.experiment, destination_of(project).fingerprint)
        train(run)
        for step in (10, 20):
            path = run.path / "grids" / f"step-{step:07d}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGB", (GRID, GRID), (10 * step, 0, 0)).save(path)
            note_artifact(run, path, "grids")
        config = small_tokenizer_config()
        save_model(run.path, Tokenizer(config), config)
        end_record(run, record, "FINISHED", None)
        score(run, 9.0 - number)
    sync(project.runs, params.tracking)
    log_models(params, project, ["S-S"])
    return project


@pytest.fixture(scope="module")
def comparison(tracked: Workspace) -> Iterator[str]:
    """The address that ``ui --compare`` prints, while its server runs."""
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
        yield line.removeprefix("comparison: ")
    finally:
        process.terminate()
        process.wait(30)


def test_the_printed_address_opens_the_comparison_with_axes_chosen(
    comparison: str, browser: Any, screenshots: Path
) -> None:
    browser.get(comparison)
    _wait(lambda: {"parameters", "rfid/efficientnet-lite2", *NAMES} <= _lines(browser))
    _close_assistant(browser)
    _wait(lambda: {"parameters", "rfid/efficientnet-lite2", *NAMES} <= _lines(browser))
    browser.save_screenshot(str(screenshots / "mlflow-comparison.png"))
    assert "5 matching runs" in _text(browser)


def test_without_a_comparison_it_opens_the_table_of_model_training(
    comparison: str, browser: Any, screenshots: Path
) -> None:
    browser.get("about:blank")
    browser.get(comparison.partition("&compareRunsMode")[0])
    _wait(lambda: "matching runs" in _text(browser))
    browser.save_screenshot(str(screenshots / "mlflow-runs.png"))
    assert "workflowType=machine_learning" in browser.current_url
    for shown in ("Run Name", "Duration", "nano-core"):  # the table of model training, not traces of GenAI
        assert shown in _text(browser)


def test_a_runs_page_says_what_it_is_and_shows_its_grids(
    tracked: Workspace, comparison: str, browser: Any, screenshots: Path
) -> None:
    (run,) = (each for each in runs_of(tracked) if each.info.run_name == "S-S")
    address = f"{_experiment(comparison)}/runs/{run.info.run_id}"
    browser.get(address)
    _wait(lambda: "About this run" in _text(browser))
    _close_assistant(browser)
    text = _text(browser)
    for shown in (
        "Made by gigatok-bench repro train_tokenizer@S-S",
        "optimizer.learning_rate",
        "nano-core",
        "Finished",
    ):
        assert shown in text
    lines = text.splitlines()
    assert lines[lines.index("rfid/efficientnet-lite2") + 1] == "9"
    browser.save_screenshot(str(screenshots / "mlflow-run.png"))
    browser.get(f"{address}/artifacts/grids/step-0000020.png")
    _wait(lambda: GRID in _image_widths(browser))
    browser.save_screenshot(str(screenshots / "mlflow-run-grids.png"))


def test_a_models_page_has_its_scores_and_their_run(
    tracked: Workspace, comparison: str, browser: Any, screenshots: Path
) -> None:
    (run,) = (each for each in runs_of(tracked) if each.info.run_name == "S-S")
    (model,) = client_of(tracked).search_logged_models([run.info.experiment_id])
    browser.get(f"{_experiment(comparison)}/models/{model.model_id}")
    _wait(lambda: {"tokenizer-S-S", "rfid/efficientnet-lite2", "S-S", "Ready"} <= _lines(browser))
    _close_assistant(browser)
    browser.save_screenshot(str(screenshots / "mlflow-model.png"))
    lines = _text(browser).splitlines()
    row = lines.index("rfid/efficientnet-lite2")
    assert lines[row + 2 : row + 4] == ["S-S", "9"]  # the run that it is of, and the score, after the data set
    assert run.info.run_id in lines


def _experiment(comparison: str) -> str:
    """Address of the experiment's pages."""
    return comparison.partition("/runs?")[0]


def _image_widths(browser: Any) -> list[int]:
    """Widths in pixels of what the page has loaded as images; 0 of one that cannot be shown."""
    return [int(width) for width in browser.execute_script("return [...document.images].map(i => i.naturalWidth)")]


def _text(browser: Any) -> str:
    return str(browser.find_element("tag name", "body").text)


def _close_assistant(browser: Any) -> None:
    """MLflow opens a panel of its own beside the page, which leaves no room for plots."""
    browser.execute_script(
        "document.querySelector('[data-component-id=\"mlflow.assistant.chat_panel.close\"]')?.click()"
    )


def _lines(browser: Any) -> set[str]:
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
