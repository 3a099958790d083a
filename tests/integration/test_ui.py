"""What a person sees in the Prefect UI, looked at in a real browser against a real server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import BROWSER
from service import Service, tones

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")

NAME = "Señorita & Co.wav"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, prefect_database: Path) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("ui")
    shutil.copytree(prefect_database, folder / "prefect")
    found = Service(folder, folder / "prefect", LIGHT_SECONDS="2.5")
    try:
        yield found.start()
    finally:
        found.kill_all()


@pytest.fixture(scope="module")
def run(service: Service) -> tuple[str, list[float]]:
    """A run that has ended, and the values its progress had on the way."""
    run_id = service.run("analyze-song/analyze-song", song=str(tones(service.inbox / NAME, 220)))
    seen: list[float] = []

    def look() -> bool:
        for artifact in artifacts(service, run_id, "progress"):
            if artifact["data"] not in seen:
                seen.append(artifact["data"])
        return service.get(f"flow_runs/{run_id}")["state_type"] in ("COMPLETED", "FAILED", "CRASHED")

    service.wait(look, 120, "the run does not end")
    look()
    return run_id, seen


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    with playwright.sync_playwright() as found:
        browser = found.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1400, "height": 1000})
        browser.close()


def artifacts(service: Service, run_id: str, kind: str) -> list[dict[str, Any]]:
    body = {"artifacts": {"type": {"any_": [kind]}, "flow_run_id": {"any_": [run_id]}}}
    found: list[dict[str, Any]] = service.post("artifacts/filter", body)
    return found


def ui(service: Service) -> str:
    return service.url.removesuffix("/api")


def test_runs_are_listed_by_the_songs_name(service: Service, run: tuple[str, list[float]], page: Any) -> None:
    page.goto(f"{ui(service)}/runs")
    page.get_by_text(NAME).first.wait_for(timeout=20_000)


def test_the_progress_moves_and_arrives(run: tuple[str, list[float]]) -> None:
    _, seen = run
    assert len(seen) >= 3
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(100.0)


def test_the_summary_shows_the_song_and_its_picture(service: Service, run: tuple[str, list[float]], page: Any) -> None:
    (summary,) = (artifact for artifact in artifacts(service, run[0], "markdown") if artifact["data"].startswith("# "))
    page.goto(f"{ui(service)}/artifacts/artifact/{summary['id']}")
    page.get_by_role("heading", name=Path(NAME).stem).first.wait_for(timeout=20_000)
    page.get_by_text("A minor").first.wait_for(timeout=20_000)
    picture = page.locator("img[alt=timeline]")
    picture.wait_for(timeout=20_000)
    assert picture.evaluate("image => image.naturalWidth") == 1200
    # A link opens the file itself.
    address = page.locator("a:has-text('song_map.json')").first.get_attribute("href")
    assert httpx.get(address).json()["title"] == Path(NAME).stem


def test_the_timeline_is_a_picture_of_its_own(service: Service, run: tuple[str, list[float]], page: Any) -> None:
    (image,) = artifacts(service, run[0], "image")
    page.goto(f"{ui(service)}/artifacts/artifact/{image['id']}")
    page.wait_for_function("[...document.images].some(image => image.naturalWidth == 1200)", timeout=20_000)


def test_the_page_of_a_run_shows_the_steps(service: Service, run: tuple[str, list[float]], page: Any) -> None:
    page.goto(f"{ui(service)}/runs/flow-run/{run[0]}")
    page.get_by_text(NAME).first.wait_for(timeout=20_000)
    page.get_by_text("Completed").first.wait_for(timeout=20_000)


def test_a_person_can_fill_in_the_form_of_a_song(service: Service, page: Any) -> None:
    found = service.get("deployments/name/analyze-song/analyze-song")
    page.goto(f"{ui(service)}/deployments/deployment/{found['id']}/run")
    page.get_by_text("Path of the audio file").first.wait_for(timeout=20_000)
    page.get_by_text("Quality").first.wait_for(timeout=20_000)


@pytest.mark.parametrize("version", ["", "/v2"])
def test_a_person_starts_a_song_with_the_form(service: Service, page: Any, version: str) -> None:
    """The UI may do what other pages may not: change something."""
    name = f"by hand{version.replace('/', ' ')}"
    song = tones(service.inbox / f"{name}.wav", 330)
    found = service.get("deployments/name/analyze-song/analyze-song")
    page.goto(f"{ui(service)}{version}/deployments/deployment/{found['id']}/run")
    page.locator("form textarea").first.fill(str(song), timeout=20_000)
    page.get_by_role("button", name="Submit").click()
    service.wait((service.songs / name / "song_map.json").exists, 60, "no Song Map")


def test_pictures_are_there_too_where_the_ui_was_opened_by_another_name(service: Service, run: tuple[str, list[float]], page: Any) -> None:
    (image,) = artifacts(service, run[0], "image")
    page.goto(f"http://localhost:{service.port}/artifacts/artifact/{image['id']}")
    page.wait_for_function("[...document.images].some(image => image.naturalWidth == 1200)", timeout=20_000)
