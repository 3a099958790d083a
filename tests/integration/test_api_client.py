"""The client and `performia analyze --server` against the HTTP API as it is, with engines that answer at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import pytest
from api_service import ApiService, serving
from prefect.client.orchestration import get_client
from service import tones

from deployments.api.client import Client, Sent
from deployments.cli.analyze_at_server import analyze_at_server
from schemas.options import AnalysisOptions
from schemas.song_folder import MAP_NAME, TIMELINE_NAME, stem_path
from schemas.sound_format import USUAL_FORMAT
from tasks.common.errors import AudioNotAudio, JobCancelled, JobUnknown
from tasks.common.progress import Progress, silent

#: Slow: the unit tests play the service, and the other tests of the API its answers.
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_api", "light_engines")]

T = TypeVar("T")

#: A busy machine takes a minute.
_WORK_SEC: Final = 300.0


@pytest.fixture
def api() -> Iterator[ApiService]:
    from flows import analyze_song

    made = analyze_song.to_deployment("analyze-song").apply()
    with serving() as service:
        yield service
    with get_client(sync_client=True) as client:
        client.delete_deployment(made)


class Worked(Client):
    """A client whose jobs are run once they are sent.

    Nobody looks for new jobs in a loop: asked twenty times a second, the service answers 429 after a minute, and the worker died of that.
    """

    def __init__(self, api: ApiService):
        super().__init__(api.url)
        self._api = api

    def send(self, song: Path, options: AnalysisOptions | None = None, progress: Progress = silent) -> Sent:
        sent = super().send(song, options, progress)
        if sent.new:
            self._api.work(sent.job.id)
        return sent


def within(seconds: float, work: Callable[[], T]) -> T:
    """What the work returns. Fails where it takes longer: a job that nobody runs is otherwise waited for as long as the service lives."""
    done: list[T] = []
    thread = threading.Thread(target=lambda: done.append(work()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert done, f"it failed, or has not ended after {seconds} s"
    return done[0]


def test_a_song_goes_there_and_comes_back_as_the_folder_that_the_service_wrote(
    api: ApiService, tmp_path: Path, data_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    wave = tones(tmp_path / "Böse Nacht.wav", 411.0, seconds=4.0)
    out = tmp_path / "out"
    with Worked(api) as client:
        assert within(_WORK_SEC, lambda: analyze_at_server(client, [wave], out, AnalysisOptions(), as_json=True, debug=True)) == 0
        text = capfd.readouterr()
        assert '"status": "complete"' in text.out
        assert all(name in text.err for name in ("upload", "separate stems", "download"))

        there, here = data_dir / "songs" / "Böse Nacht", out / "Böse Nacht"
        files = {path.relative_to(there) for path in there.rglob("*") if path.is_file()}
        assert {Path(MAP_NAME), Path(TIMELINE_NAME), Path(stem_path("vocals", USUAL_FORMAT))} < files
        assert {path.relative_to(here) for path in here.rglob("*") if path.is_file()} == files
        assert all((here / file).read_bytes() == (there / file).read_bytes() for file in files)

        again = client.send(wave)
        assert (again.new, again.job.song_id) == (False, client.wait(again.job.id, timeout_sec=60))
        numbers = [event.id for event in client.events(again.job.id) if event.id is not None]
        assert numbers == sorted(set(numbers))
        assert [event.id for event in client.events(again.job.id, numbers[2])] == numbers[3:]
        assert list(client.events(again.job.id, numbers[-1])) == []


def test_what_the_service_refuses_or_cancels_is_raised_by_its_name(api: ApiService, tmp_path: Path) -> None:
    text = tmp_path / "text.mp3"
    text.write_bytes(b"this is no song\n" * 400_000)
    with Client(api.url) as client:
        with pytest.raises(AudioNotAudio, match=r"text\.mp3 is not an audio file"):
            client.analyze(text)
        job = client.analyze(tones(tmp_path / "cancelled.wav", 422.0, seconds=4.0))
        assert client.cancel(job.id).state == "cancelled"
        with pytest.raises(JobCancelled):
            client.wait(job.id)
        with pytest.raises(JobUnknown):
            client.job("f" * 32)
