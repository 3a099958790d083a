"""A server at rest polls seldom, starts what is new at once, and stops at once."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import asyncio, datetime
from deployments.server.idle_server import PACE
from prefect.server.api import background_workers
from prefect.server.events import triggers
from tasks.common.orchestration.prefect_private import poll_less

poll_less(PACE)
waits = []

async def sleep(seconds):
    waits.append(seconds)
    raise asyncio.CancelledError

async def nothing(now):
    pass

async def main():
    import burner_redis, docket
    async with docket.Docket(name="test", url="memory://") as found:
        worker = background_workers.Worker(found)
        seconds = (worker.minimum_check_interval, worker.scheduling_resolution, found.heartbeat_interval)
        print(*(interval.total_seconds() for interval in seconds))
        ran = asyncio.Event()

        async def task():
            ran.set()

        async with worker:
            found.register(task)
            running = asyncio.create_task(worker.run_forever())
            await asyncio.sleep(0.5)  # until it waits
            await found.add(task)()
            await asyncio.wait_for(ran.wait(), 20)  # a wait for half a minute ends with the task
            running.cancel()
    triggers.periodic_evaluation, triggers.asyncio.sleep = nothing, sleep
    try:
        await triggers.evaluate_periodically(datetime.timedelta(seconds=5))
    except asyncio.CancelledError:
        print(waits)

asyncio.run(main())
"""


def test_the_server_waits_for_its_background_tasks_and_starts_a_new_one_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines() == ["30.0 2.0 30.0", "[30.0]"], done.stdout + done.stderr[-2000:]


def test_a_server_told_to_stop_wakes_at_once() -> None:
    import asyncio

    import uvicorn

    from deployments.server.idle_server import QuietServer

    async def app(scope: object, receive: object, send: object) -> None:
        raise NotImplementedError

    async def main() -> None:
        server = QuietServer(uvicorn.Config(app, port=0, lifespan="off", log_level="critical"))
        serving = asyncio.create_task(server.main_loop())
        while server._stopping is None:
            await asyncio.sleep(0)
        server.stop()
        waited = await asyncio.wait({serving, asyncio.create_task(asyncio.sleep(0.5))}, return_when=asyncio.FIRST_COMPLETED)
        assert serving in waited[0]

    asyncio.run(main())
