"""The Node client of clients/node-example, run as a hospital's engineer would, against a real front end.

It knows nothing of our Python: it loads the plain .proto files.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from nevus_core.broker import CONNECTION
from nevus_core.settings import ServerSettings
from nevus_core.work_store import Claim
from nevus_server.main import serving
from support.scripted_worker import ScriptedWorker

ROOT = Path(__file__).parent.parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example with its packages installed as the lock file says."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    root = tmp_path_factory.mktemp("node")
    shutil.copytree(ROOT / "protos", root / "protos")
    source = ROOT / "clients" / "node-example"
    example = root / "clients" / "node-example"
    shutil.copytree(source, example, ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-progress"], cwd=example, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"npm can't install the packages here: {done.stderr[-300:]}")
    return example


@dataclass(frozen=True)
class Run:
    """How a run of the example went."""

    code: int
    lines: list[str]
    errors: str


async def run(example: Path, *words: object) -> Run:
    """Runs `node analyze.mjs WORDS`, without holding up the front end beside it."""
    process = await asyncio.create_subprocess_exec(
        "node",
        "analyze.mjs",
        *map(str, words),
        cwd=example,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return Run(process.returncode, out.decode().splitlines(), err.decode())


def claim_first(settings: ServerSettings, worker: ScriptedWorker) -> Claim:
    """Waits for the first job and takes it."""
    with redis.Redis.from_url(settings.redis_url, **CONNECTION) as client:
        while not (queued := client.zrange(f"{settings.key_prefix}:queued:routine", 0, -1)):
            time.sleep(0.02)
    return worker.claim(queued[0].decode().partition("/")[2])


async def test_every_event_and_the_result_are_printed(
    example: Path, settings: ServerSettings, worker: ScriptedWorker, png: bytes
) -> None:
    """Events in order, the regions before the class, the result, and what it is not for."""
    image = example / "lesion.png"
    image.write_bytes(png)
    worker.work_in_background()
    async with serving(settings) as port:
        ran = await run(example, image, f"127.0.0.1:{port}")
    assert (ran.code, ran.errors) == (0, "")
    assert ran.lines[:-2] == [
        "1 QUEUED",
        "2 RUNNING DECODING",
        "3 RUNNING SEGMENTING",
        "4 RUNNING CLASSIFYING",
        "  region x=10 y=20 30x40 px, area 900.5 px",
        "  region x=100 y=5 11x12 px, area 110 px",
        "5 SUCCEEDED",
        "malignant: probability of malignancy 0.7500, threshold 0.5 (balanced)",
    ]
    assert ran.lines[-2].startswith("model notebook-cnn 1, segmenter otsu, job jobs/")
    assert ran.lines[-1] == "NOT FOR CLINICAL USE"


async def test_a_refused_image_is_explained(example: Path, settings: ServerSettings, worker: ScriptedWorker) -> None:
    """Code, message, reason and field come out of the error's details; the exit code is 1."""
    text = example / "notes.txt"
    text.write_text("This is no image.")
    async with serving(settings) as port:
        ran = await run(example, text, f"127.0.0.1:{port}")
    assert (ran.code, ran.lines) == (1, [])
    assert ran.errors.startswith("INVALID_ARGUMENT: ")
    assert "[UNSUPPORTED_FORMAT]" in ran.errors
    assert "\n  image: " in ran.errors


async def test_a_job_that_fails_later_is_explained(
    example: Path, settings: ServerSettings, worker: ScriptedWorker, png: bytes
) -> None:
    """An error inside the job is told as well as one of the call; the exit code is 1."""
    image = example / "lesion.png"
    image.write_bytes(png)
    async with serving(settings) as port:
        running = asyncio.create_task(run(example, image, f"127.0.0.1:{port}"))
        claim = await asyncio.to_thread(claim_first, settings, worker)
        await asyncio.to_thread(worker.fail, claim)
        ran = await running
    assert ran.code == 1
    assert ran.lines == ["1 QUEUED", "2 RUNNING DECODING", "3 FAILED"]
    assert ran.errors == "FAILED: Made up. [CORRUPT_IMAGE]\n"


async def test_a_port_where_nobody_listens(example: Path, tmp_path: Path) -> None:
    """No server: exit code 3 and one line that says where it looked."""
    image = tmp_path / "any.png"
    image.write_bytes(b"any")
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # taken, but not listening
        target = f"127.0.0.1:{bound.getsockname()[1]}"
        ran = await run(example, image, target)
    assert (ran.code, ran.lines) == (3, [])
    assert ran.errors.startswith(f"no nevus at {target}: ")
    assert ran.errors.count("\n") == 1


async def test_wrong_usage(example: Path) -> None:
    """No image, or one that is not there: exit code 2."""
    assert (await run(example)).code == 2
    assert (await run(example, "missing.png")).code == 2
