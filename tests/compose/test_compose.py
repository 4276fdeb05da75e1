"""docker-compose.yml for real: builds the images, runs them with three workers, sends images, kills a worker.

Runs where COMPOSE_COMMAND holds the compose command, for example `docker compose` (words after it, such as `-f FILE`,
may follow). The name has no NEVUS_ before it, since every process of nevus refuses settings that it does not know.
"""

from __future__ import annotations

import collections
import os
import shlex
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from nevus.v1.analysis_service_pb2 import AnalyzeManyRequest
from nevus.v1.analysis_service_pb2_grpc import AnalysisServiceStub
from nevus.v1.job_pb2 import JOB_STATE_SUCCEEDED, Job
from nevus.v1.model_service_pb2 import ListModelsRequest
from nevus.v1.model_service_pb2_grpc import ModelServiceStub

ROOT = Path(__file__).parent.parent.parent
WORKERS = 3
IMAGES = 300

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(2400),
    pytest.mark.skipif(not os.environ.get("COMPOSE_COMMAND"), reason="COMPOSE_COMMAND does not name a compose command"),
]


@dataclass(frozen=True)
class Stack:
    """The running containers.

    Attributes:
        command: The compose command with its project.
        environ: What it runs in.
        target: Address of the front end.
    """

    command: tuple[str, ...]
    environ: dict[str, str]
    target: str

    def compose(self, *words: str, check: bool = True) -> str:
        """Runs a compose command. Returns what it printed."""
        done = subprocess.run(
            [*self.command, *words], cwd=ROOT, env=self.environ, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, f"{' '.join(words)}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def python(self, service: str, code: str, *, index: int = 1, check: bool = True) -> str:
        """Runs Python inside a container. Returns what it printed."""
        return self.compose("exec", "-T", "--index", str(index), service, "python", "-c", code, check=check)

    def workers(self) -> int:
        """Returns how many workers the front end sees."""
        with grpc.insecure_channel(self.target) as channel:
            try:
                answer = ModelServiceStub(channel).ListModels(ListModelsRequest(), timeout=5)
            except grpc.RpcError:
                return 0
        return max((card.workers for card in answer.models), default=0)

    def wait_for_workers(self) -> None:
        """Waits until every worker is there, warmed."""
        deadline = time.monotonic() + 180
        while self.workers() < WORKERS:
            assert time.monotonic() < deadline, self.compose("logs", check=False)[-4000:]
            time.sleep(0.5)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Everything built and up, on a free port, in a project of its own; taken down with its volume afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{free.getsockname()[1]}"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("NEVUS_")}
    environ |= {"PUBLISH": target, "WORKERS": str(WORKERS)}
    stack = Stack((*shlex.split(environ["COMPOSE_COMMAND"]), "-p", "nevus-test"), environ, target)
    try:
        stack.compose("up", "-d", "--build", "--scale", f"worker={WORKERS}")
        stack.wait_for_workers()
        yield stack
    finally:
        stack.compose("down", "-v", check=False)


@pytest.fixture(scope="module")
def images(data_folder: Path) -> list[Path]:
    """Real images."""
    return sorted((data_folder / "images").glob("*.jpg"))[:IMAGES]


def analyze_many(stack: Stack, images: list[Path], on_done: Callable[[int], None] = lambda _: None) -> dict[str, Job]:
    """Sends images over one stream. Returns the finished jobs by file name; none may come twice or be refused."""
    requests = (
        AnalyzeManyRequest(key=path.name, image=path.read_bytes(), request_id=str(uuid.uuid4()), final_only=True)
        for path in images
    )
    done: dict[str, Job] = {}
    with grpc.insecure_channel(stack.target) as channel:
        for answer in AnalysisServiceStub(channel).AnalyzeMany(requests, timeout=600):
            assert answer.WhichOneof("update") == "event", answer.error
            assert answer.key not in done
            done[answer.key] = answer.event.snapshot
            on_done(len(done))
    return done


def by_container(jobs: dict[str, Job]) -> collections.Counter[str]:
    """Returns how many jobs each container did; a worker's id begins with its host name."""
    return collections.Counter(job.result.provenance.worker.split("-")[0] for job in jobs.values())


def test_every_worker_does_a_share(stack: Stack, images: list[Path]) -> None:
    """300 images succeed, and each of the three containers did some of them."""
    began = time.monotonic()
    jobs = analyze_many(stack, images)
    shares = by_container(jobs)
    print(f"{len(jobs)} images in {time.monotonic() - began:.1f} s, shares {sorted(shares.values())}")  # noqa: T201  # figures for whoever runs it with -s
    assert jobs.keys() == {path.name for path in images}
    assert {job.state for job in jobs.values()} == {JOB_STATE_SUCCEEDED}
    assert {job.result.provenance.model for job in jobs.values()} == {"derm-joint"}  # as shipped
    assert len(shares) == WORKERS


def test_a_killed_worker_costs_nothing(stack: Stack, images: list[Path]) -> None:
    """One worker is killed in the middle: its jobs go to others, all succeed, and its container comes back."""

    def kill_one(done: int) -> None:
        if done == len(images) // 5:
            # Every process of the container but its init, which then ends as well.
            stack.python("worker", "import os; os.kill(-1, 9)", index=2, check=False)

    stack.wait_for_workers()
    jobs = analyze_many(stack, images, kill_one)
    repeated = sum(job.attempt > 1 for job in jobs.values())
    print(f"{len(jobs)} images, {repeated} of them at the second attempt, shares {sorted(by_container(jobs).values())}")  # noqa: T201  # figures for whoever runs it with -s
    assert jobs.keys() == {path.name for path in images}
    assert {job.state for job in jobs.values()} == {JOB_STATE_SUCCEEDED}
    stack.wait_for_workers()


def test_the_server_image_is_small(stack: Stack) -> None:
    """Nothing that computes on pixels is in the front end's image, and it runs as nobody special."""
    code = (
        "import importlib.util as u, os, pathlib, sysconfig;"
        "print([m for m in ('tensorflow', 'keras', 'cv2', 'numpy', 'PIL') if u.find_spec(m)]);"
        "print(sorted(p.name for p in pathlib.Path(sysconfig.get_path('purelib')).iterdir()));"
        "print(os.getuid(), os.access('/', os.W_OK), os.access('/opt/nevus', os.W_OK))"
    )
    found, names, rights = stack.python("server", code).splitlines()[-3:]
    assert found == "[]"
    assert "nevus_server" in names
    assert not any(word in names.lower() for word in ("tensorflow", "opencv", "keras"))
    assert rights == "10001 False False"


@pytest.mark.parametrize(("service", "module"), [("server", "nevus_server.probe"), ("worker", "nevus_workers.probe")])
def test_health_checks_tell_the_truth(stack: Stack, service: str, module: str) -> None:
    """The commands of the health checks exit 0 in a healthy container."""
    stack.wait_for_workers()
    stack.compose("exec", "-T", service, "python", "-m", module)
