"""A file name becomes a command (guide: "Command Injection"; CWE-78, CWE-88): on both
event loops, by every way to a shell, in threads and after the answer."""

import asyncio
import os
import shlex
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import anyio
import pytest
from examples.range.targets import commands
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.routing import Route
from tests.attacks.targets import routes_of
from tests.attacks.twins import twins

from ringfence import shell

GUARDED_LOOP = "ringfence.interpreters.loops.guarded:GuardedLoop"
SH = "/bin/sh"

# The unsafe ways, as careless code goes them. Each carries out a script.


def by_subprocess(script):
    subprocess.run(script, shell=True, check=False, stdout=subprocess.DEVNULL)


def by_check_output(script):
    subprocess.check_output(script, shell=True)


def by_system(script):
    os.system(script)


def by_popen(script):
    with os.popen(script) as output:
        output.read()


def by_array(script):
    subprocess.run([SH, "-c", script], check=False, stdout=subprocess.DEVNULL)


def by_env(script):
    subprocess.run(["env", "A=b", "sh", "-c", script], check=False)


def by_getoutput(script):
    subprocess.getoutput(script)


def by_posix_spawn(script):
    os.waitpid(os.posix_spawn(SH, ["sh", "-c", script], os.environ), 0)


def by_spawn(script):
    os.spawnv(os.P_WAIT, SH, ["sh", "-c", script])


async def by_asyncio_shell(script):
    await (await asyncio.create_subprocess_shell(script)).wait()


async def by_asyncio_exec(script):
    await (await asyncio.create_subprocess_exec(SH, "-c", script)).wait()


async def by_anyio(script):
    await anyio.run_process(script, check=False)


async def by_anyio_process(script):
    async with await anyio.open_process([SH, "-c", script]) as process:
        await process.wait()


async def in_thread_pool(script):
    await run_in_threadpool(by_system, script)


async def in_to_thread(script):
    await asyncio.to_thread(by_subprocess, script)


async def in_executor(script):
    await asyncio.get_running_loop().run_in_executor(None, by_popen, script)


async def in_own_executor(script):
    with ThreadPoolExecutor() as pool:
        await asyncio.get_running_loop().run_in_executor(pool, by_system, script)


async def in_thread(script):
    thread = threading.Thread(target=quietly(by_system), args=(script,))
    thread.start()
    await asyncio.to_thread(thread.join)


async def in_timer(script):
    timer = threading.Timer(0, quietly(by_system), (script,))
    timer.start()
    await asyncio.to_thread(timer.join)


async def in_task(script):
    await asyncio.create_task(by_asyncio_shell(script))


def quietly(call: Callable[[str], None]) -> Callable[[str], None]:
    """Keep what is raised in a thread from pytest, which would fail for it."""

    def quiet(script):
        with suppress(Exception):
            call(script)

    return quiet


WAYS = [
    by_subprocess,
    by_check_output,
    by_system,
    by_popen,
    by_array,
    by_env,
    by_getoutput,
    by_posix_spawn,
    by_spawn,
    by_asyncio_shell,
    by_asyncio_exec,
    by_anyio,
    by_anyio_process,
    in_thread_pool,
    in_to_thread,
    in_executor,
    in_own_executor,
    in_thread,
    in_timer,
    in_task,
]
BY_NAME = {way.__name__: way for way in WAYS}


async def carry_out(way, script):
    if asyncio.iscoroutinefunction(way):
        await way(script)
    else:
        way(script)


async def fields(request):
    given = await request.json()
    return BY_NAME.get(request.path_params.get("way")), given["filename"]


async def unsafe(request):
    """As the guide writes it, with a program that is there."""
    way, filename = await fields(request)
    await carry_out(way, f"echo input.mp4 {filename}")
    return JSONResponse("done")


async def quoted(request):
    way, filename = await fields(request)
    await carry_out(way, f"touch {shlex.quote(filename)}")
    return JSONResponse("done")


async def swallowing(request):
    """A handler that hides what went wrong."""
    way, filename = await fields(request)
    try:
        await carry_out(way, f"echo input.mp4 {filename}")
    except Exception:  # noqa: BLE001 - as careless code does
        return JSONResponse("nothing happened")
    return JSONResponse("done")


async def afterwards(request):
    """The work is done when the answer is out."""
    way, filename = await fields(request)
    script = f"echo input.mp4 {filename}"

    async def work():
        with suppress(Exception):  # nobody is there to be told
            await carry_out(way, script)
        request.app.state.finished.set()

    request.app.state.finished = asyncio.Event()
    return JSONResponse("accepted", background=BackgroundTask(work))


async def finished(request):
    """Answer when the work is done."""
    await request.app.state.finished.wait()
    return JSONResponse("finished")


async def an_array(request):
    _, filename = await fields(request)
    process = await asyncio.create_subprocess_exec("touch", filename)
    return JSONResponse(await process.wait())


async def safe(request):
    _, filename = await fields(request)
    done = await shell.run("touch -- {filename}", filename=filename)
    return JSONResponse(done.code)


async def program(request):
    _, filename = await fields(request)
    process = await asyncio.create_subprocess_exec(filename, "input.mp4")
    return JSONResponse(await process.wait())


def routes():
    return [
        Route("/unsafe/{way}", unsafe, methods=["POST"]),
        Route("/quoted/{way}", quoted, methods=["POST"]),
        Route("/swallowing/{way}", swallowing, methods=["POST"]),
        Route("/afterwards/{way}", afterwards, methods=["POST"]),
        Route("/finished", finished),
        Route("/array", an_array, methods=["POST"]),
        Route("/safe", safe, methods=["POST"]),
        Route("/program", program, methods=["POST"]),
    ]


@pytest.fixture(scope="module", params=["asyncio", GUARDED_LOOP])
def both(request, tmp_path_factory):
    """The handlers above, without and with a guard."""
    with twins(routes, tmp_path_factory.mktemp("twins"), loop=request.param) as pair:
        yield pair


def payload(mark):
    """The guide's own, with a harmless end: output.mp4; rm -rf /"""
    return f"output.mp4; touch {mark}"


def marks(tmp_path):
    """One for each side: what we remove ourselves while the server is still seeing a
    request out, in this very process, would be judged as well."""
    return tmp_path / "OFF", tmp_path / "ON"


def post(client, path, filename):
    return client.post(path, json={"filename": filename})


@pytest.mark.parametrize("name", BY_NAME)
def test_a_name_does_not_become_a_command(both, name, tmp_path):
    off, on = marks(tmp_path)
    assert post(both.off, f"/unsafe/{name}", payload(off)).status_code == 200
    assert off.exists()
    answer = post(both.on, f"/unsafe/{name}", payload(on))
    assert not on.exists()
    if name not in {"in_thread", "in_timer"}:  # whose request it is nobody can tell
        assert answer.status_code == 403
        assert answer.json()["code"] == "interpreters.shell"


@pytest.mark.parametrize("name", ["by_asyncio_shell", "by_asyncio_exec", "by_anyio"])
def test_a_loop_of_another_server(name, tmp_path):
    """A uvloop that nobody gave the guard is armed when the guard starts."""
    off, on = marks(tmp_path)
    with twins(routes, tmp_path / "guard", loop="uvloop") as both:
        post(both.off, f"/unsafe/{name}", payload(off))
        assert off.exists()
        assert post(both.on, f"/unsafe/{name}", payload(on)).status_code == 403
        assert not on.exists()


@pytest.mark.parametrize("name", ["by_subprocess", "by_asyncio_shell", "in_executor"])
def test_the_handler_cannot_hide_it(both, name, tmp_path):
    off, on = marks(tmp_path)
    assert post(both.off, f"/swallowing/{name}", payload(off)).status_code == 200
    assert off.exists()
    assert post(both.on, f"/swallowing/{name}", payload(on)).status_code == 403
    assert not on.exists()


@pytest.mark.parametrize("name", ["by_system", "by_asyncio_shell", "in_thread"])
def test_not_even_after_the_answer(both, name, tmp_path):
    for client, mark in zip((both.off, both.on), marks(tmp_path), strict=True):
        post(client, f"/afterwards/{name}", payload(mark))
        assert client.get("/finished").status_code == 200
        assert mark.exists() == (client is both.off)


HONEST = [
    "output.mp4",
    "my holiday film.mp4",
    "O'Brien's & Söhne; 50% off.mp4",
    "$HOME `id` $(id).mp4",
    "日本語 😀.mp4",
    'a "quoted" name.mp4',
    "'t Hart.mp4",
    "semi;colon|pipe>arrow.mp4",
]


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("path", ["/array", "/safe", "/quoted/by_system"])
def test_honest_names_pass(both, path, name, tmp_path):
    """As one argument, or quoted, a name is a name."""
    for client, folder in zip((both.off, both.on), marks(tmp_path), strict=True):
        folder.mkdir()
        made = folder / name
        answer = post(client, path, str(made))
        assert answer.status_code == 200, answer.text
        assert made.exists()


@pytest.mark.parametrize("name", ["by_subprocess", "by_asyncio_shell", "by_anyio"])
def test_an_honest_word_passes(both, name):
    for client in (both.off, both.on):
        assert post(client, f"/unsafe/{name}", "output-2.mp4").status_code == 200


def test_a_request_does_not_choose_the_program(both, tmp_path):
    for client, mark in zip((both.off, both.on), marks(tmp_path), strict=True):
        made = tmp_path / f"program-{mark.name}"
        made.write_text(f"#!/bin/sh\ntouch {mark}\n")
        made.chmod(0o700)
        answer = post(client, "/program", str(made))
        assert mark.exists() == (client is both.off)
    assert answer.status_code == 403


def test_a_name_does_not_become_an_option(both, tmp_path):
    for client in (both.off, both.on):
        answer = post(client, "/array", f"--reference={tmp_path}")
        assert answer.status_code == (200 if client is both.off else 403)


@pytest.fixture
def targets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.environ["PATH"])
    return routes_of(commands.TARGETS, tmp_path / "world")


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/convert", "output.mp4; touch MARK"),
        ("/convert/system", "$(touch MARK)"),
        ("/convert/asyncio", "x'; touch MARK; '"),
        ("/convert/archive", "--use-compress-program=touch MARK"),
    ],
)
def test_the_range(targets, tmp_path, path, template):
    """Each target of the range: the attack works without the guard only, and honest
    use is the same."""
    with twins(targets, tmp_path / "guard") as both:
        off, on = marks(tmp_path)
        post(both.off, path, template.replace("MARK", off.name))
        assert off.exists()
        answer = post(both.on, path, template.replace("MARK", on.name))
        assert answer.status_code == 403
        assert not on.exists()
        for client in (both.off, both.on):
            honest = "input.mp4" if path.endswith("archive") else "output.mp4"
            assert post(client, path, honest).json() == {"code": 0}
            assert (tmp_path / honest).exists()
