"""However a run ends, its processes end too."""

import signal
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import psutil
import pytest

from mcp_llama.bench.child import child
from mcp_llama.bench.event import Event
from mcp_llama.bench.failure import TurnError
from mcp_llama.bench.job import Job
from mcp_llama.bench.pool import Pool
from mcp_llama.bench.resources import is_running
from mcp_llama.bench.run import run
from mcp_llama.bench.target import open_target
from tests.bench.plans import small_plan

END_S = 30

pytestmark = pytest.mark.anyio


def children() -> list[psutil.Process]:
    """All processes that this one started and that are there still, and those that they started."""
    return psutil.Process().children(recursive=True)


async def test_an_interrupted_run_leaves_no_process(real_model_path: Path) -> None:
    before = set(children())
    plan = small_plan(real_model_path, targets=("v1", "mcp-stdio"), workloads=("unique",), rounds=2, tokens=64)
    running: set[psutil.Process] = set()
    with anyio.fail_after(END_S), anyio.CancelScope() as scope:

        def cancel_in_second_round(event: Event) -> None:
            if event.turn.round == 2:
                running.update(set(children()) - before)
                scope.cancel()

        await run(plan, cancel_in_second_round)
    assert scope.cancelled_caught
    # A server and its client, and a client with its server.
    assert len(running) == 4
    assert set(children()) - before == set()
    assert not [process for process in running if process.is_running()]


async def test_a_run_that_is_over_leaves_no_process(real_model_path: Path) -> None:
    before = set(children())
    running: set[psutil.Process] = set()
    plan = small_plan(real_model_path, targets=("raw", "engine"), workloads=("unique",))
    measurements, _ = await run(plan, lambda _: running.update(set(children()) - before))
    assert len(measurements) == len(running) == 2
    assert not [process for process in running if process.is_running()]


RUN = """
import asyncio, os, sys
from pathlib import Path
from mcp_llama.bench.resources import is_running
from mcp_llama.bench.run import run
from mcp_llama.bench.target import open_target
from tests.bench.plans import small_plan

plan = small_plan(Path(sys.argv[1]), targets=("v1",), workloads=("unique",), rounds=100)
asyncio.run(run(plan, lambda event: print(event.done, flush=True)))
"""


def test_sigterm_ends_the_servers_too(real_model_path: Path) -> None:
    command = [sys.executable, "-c", RUN, str(real_model_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(3)] == ["0\n", "1\n", "1\n"]
            servers = psutil.Process(process.pid).children(recursive=True)
            process.terminate()
            _, errors = process.communicate(timeout=END_S)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGTERM, errors
    assert len(servers) == 2
    assert psutil.wait_procs(servers, timeout=END_S)[1] == []


@pytest.mark.parametrize("target", ["raw", "v1", "mcp-stdio"])
async def test_what_died_between_two_turns_is_started_again(real_model_path: Path, target: str) -> None:
    before = set(children())

    def kill_in_second_round(event: Event) -> None:
        if event.turn.round == 2 and event.begins:
            (model,) = [process for process in set(children()) - before if str(real_model_path) in process.cmdline()]
            model.kill()
            while is_running(model.pid):
                pass

    plan = small_plan(real_model_path, targets=(target,), workloads=("unique",), rounds=2)
    measurements, failures = await run(plan, kill_in_second_round)
    assert failures == ()
    assert [measured.round for measured in measurements] == [1, 2]


async def test_what_dies_within_a_turn_fails_it(real_model_path: Path) -> None:
    errors: list[TurnError] = []
    async with open_target("raw", small_plan(real_model_path)) as target, anyio.create_task_group() as tasks:

        async def fail() -> None:
            with pytest.raises(TurnError) as caught:
                await target.run([Job(prompt="Once", max_tokens=200, seed=1)])
            errors.append(caught.value)

        tasks.start_soon(fail)
        await anyio.lowlevel.checkpoint()
        psutil.Process(target.worker.pid).kill()
    assert [str(error) for error in errors] == ["the process of raw ended: status -9"]
    assert not target.is_alive


async def test_a_model_that_is_broken_fails_every_target_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "no.gguf"
    path.write_bytes(b"no model")
    plan = small_plan(path, targets=("raw", "engine", "v1", "mcp-stdio"), workloads=("unique",), rounds=2)
    measurements, failures = await run(plan, lambda _: None)
    assert measurements == ()
    assert len(failures) == 4
    assert all("is not a GGUF file" in failure for failure in failures), failures


async def test_a_process_that_ignores_its_stdin_and_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_llama.bench.child._END_S", 0.1)
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); signal.pause()"
    with anyio.fail_after(END_S):
        async with child("it", [sys.executable, "-c", code], patience=0.1) as stubborn:
            assert await stubborn.line() == b"on\n"
    assert not psutil.pid_exists(stubborn.pid)


LEAVING = """
import subprocess, sys
pause = [sys.executable, "-c", "import signal; signal.pause()"]
left = subprocess.Popen(pause, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
print(left.pid, flush=True)
"""


async def test_what_a_process_leaves_behind_is_killed() -> None:
    with anyio.fail_after(END_S):
        async with child("it", [sys.executable, "-c", LEAVING]) as short:
            left = int(await short.line())
            with pytest.raises(TurnError):
                await short.line()
        while is_running(left):  # noqa: ASYNC110
            await anyio.sleep(0.01)


async def test_what_a_process_said_last_is_the_reason_that_it_ended() -> None:
    code = "import sys; print('mcp-llama: no luck', file=sys.stderr); sys.exit(3)"
    with anyio.fail_after(END_S):
        async with child("it", [sys.executable, "-c", code]) as short:
            with pytest.raises(TurnError, match=r"^it ended: no luck$"):
                await short.line()


async def test_targets_stay_open_while_there_is_memory(real_model_path: Path) -> None:
    async with Pool(small_plan(real_model_path)) as pool:
        raw = await pool.target("raw")
        engine = await pool.target("engine")
        assert await pool.target("raw") is raw
        assert raw.is_alive
        assert engine.is_alive
    assert not raw.is_alive
    assert not engine.is_alive


async def test_without_memory_for_two_one_is_open_at_a_time(
    real_model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_llama.bench.pool._free_memory", lambda: 0)
    async with Pool(small_plan(real_model_path)) as pool:
        raw = await pool.target("raw")
        engine = await pool.target("engine")
        assert not raw.is_alive
        assert engine.is_alive
        assert await pool.target("engine") is engine
