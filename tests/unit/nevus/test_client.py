"""`nevus.Client` against a scripted server: what it sends, what it returns, what it raises."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import nevus
from nevus import Client
from nevus.v1 import job_pb2


@pytest.fixture
def client(server: Any) -> Iterator[Client]:
    with Client(server.target, retry_for_s=5) as connected:
        yield connected


def test_submit_sends_options_and_a_fresh_uuid4_each_time(server: Any, client: Any) -> None:
    """Every option reaches the wire as the contract names it, and no request goes without a request id."""
    for _ in range(2):
        job = client.submit(
            b"ok", model="m@2", segmenter="otsu", operating_point="screening", priority="stat",
            artifacts=["overlay", "heat_map"], queue_ttl_s=1.5, execution_timeout_s=2, labels={"a": "b"},
        )  # fmt: skip
    first, second = server.requests
    assert job.state is nevus.JobState.QUEUED
    assert first.options == job_pb2.AnalysisOptions(
        model="m@2", segmenter="otsu", operating_point="screening", priority=job_pb2.JOB_PRIORITY_STAT,
        artifacts=[job_pb2.ARTIFACT_KIND_OVERLAY, job_pb2.ARTIFACT_KIND_HEAT_MAP],
        queue_ttl={"seconds": 1, "nanos": 500_000_000}, execution_timeout={"seconds": 2}, labels={"a": "b"},
    )  # fmt: skip
    assert uuid.UUID(first.request_id).version == 4
    assert first.request_id != second.request_id
    assert job.options.priority is nevus.JobPriority.STAT
    assert job.options.queue_ttl_s == 1.5


def test_images_over_the_inline_limit_are_uploaded_in_chunks(
    server: Any, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large file goes by UploadJob, whole, with its digest in the trailer (the server checks it)."""
    monkeypatch.setattr("nevus._requests.INLINE_LIMIT_BYTES", 1000)
    path = tmp_path / "large.png"
    path.write_bytes(b"ok" + bytes(1_500_000))
    assert client.submit(path).name == "jobs/j0000"
    assert client.analyze(path).state is nevus.JobState.SUCCEEDED
    assert server.calls == {"UploadJob": 2, "WatchJob": 1}
    assert server.requests[0] == path.read_bytes()


def test_analyze_returns_the_whole_result_as_records(server: Any, client: Any) -> None:
    """Nothing of the outcome is lost between the wire and the records."""
    job = client.analyze(b"ok").raise_for_state()
    result = job.result
    assert result.classification == nevus.Classification(
        "benign", 0.25, {"benign": 0.75, "malignant": 0.25}, 0.5, "balanced"
    )
    assert result.regions == (nevus.Region(nevus.Box(3, 4, 50, 60), 1234.5, None, ((3, 4), (52, 4), (52, 63))),)
    assert result.provenance.timings == nevus.Timings(1, 2, 3, 4, 1500)
    assert result.quality_issues == (nevus.QualityIssue("NO_REGION_FOUND", "None."),)
    assert result.needs_review is True
    assert result.measures == nevus.LesionMeasures(0, 0.25, None, 1.5, ("red", "blue_grey"), 78.1)
    assert result.not_for_clinical_use is True
    assert job.image.sha256 == "cd" * 32


def test_a_failed_job_is_returned_and_raises_on_request(server: Any, client: Any) -> None:
    """`analyze` tells failed images from failed calls: the first is an outcome."""
    job = client.analyze(b"fail")
    assert job.state is nevus.JobState.FAILED
    assert job.error.reason == "WORKER_LOST"
    with pytest.raises(nevus.JobFailed, match=r"jobs/j0000 ended FAILED: Its workers died\.") as caught:
        job.raise_for_state()
    assert caught.value.job is job
    assert caught.value.code == "INTERNAL"


def test_stream_yields_regions_before_the_class_with_rising_revisions(server: Any, client: Any) -> None:
    """The promise of the contract arrives at the caller."""
    events = list(client.stream(b"ok"))
    assert [event.revision for event in events] == [1, 2, 3, 4, 5]
    assert [event.regions is not None for event in events] == [False, False, False, True, False]
    assert events[-1].final
    assert events[-1].snapshot.result is not None


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 4])
def test_a_stream_cut_anywhere_misses_and_repeats_nothing(server: Any, client: Any, cut: int) -> None:
    """Before its first event Analyze is repeated with the same request id; after it WatchJob takes over."""
    server.cuts = [cut, 1, 1]
    assert [event.revision for event in client.stream(b"ok")] == [1, 2, 3, 4, 5]
    assert len(server.accepted) == 1
    assert server.calls["Analyze"] == (2 if cut == 0 else 1)


def test_a_watch_cut_twice_misses_and_repeats_nothing(server: Any, client: Any) -> None:
    """A watcher resumes with the last revision seen, by itself."""
    name = client.submit(b"ok").name
    server.cuts = [2, 0, 1]
    assert [event.revision for event in client.watch(name, after_revision=1)] == [2, 3, 4, 5]
    watches = [request.after_revision for request in server.requests[1:]]
    assert watches == [1, 3, 3, 4]


def test_wait_returns_the_outcome_or_the_job_as_it_stands(server: Any, client: Any) -> None:
    """ "Not yet" is no error."""
    assert client.wait(client.submit(b"ok").name).final
    assert client.wait(client.submit(b"hang").name, timeout_s=0.05).state is nevus.JobState.QUEUED


def test_analyze_out_of_time_raises_and_leaves_the_job(server: Any, client: Any) -> None:
    """The caller's limit ends the call, not the job."""
    with pytest.raises(nevus.DeadlineExceeded, match="An accepted job goes on"):
        client.analyze(b"hang", timeout_s=0.3)
    assert client.get("j0000").state is nevus.JobState.QUEUED


def test_list_turns_pages_and_claims_nothing_about_regions(server: Any, client: Any) -> None:
    """All pages come, by need; a list leaves regions out, which must not look like "none found"."""
    for _ in range(5):
        client.submit(b"ok")
    listed = client.list(states=["succeeded"], labels={"a": "b"}, page_size=2)
    assert server.calls["ListJobs"] == 0
    jobs = list(listed)
    assert [job.name for job in jobs] == [f"jobs/j000{n}" for n in range(5)]
    assert server.calls["ListJobs"] == 3
    assert server.requests[-1].labels == {"a": "b"}
    assert {job.regions for job in jobs} == {None}


def test_cancel_delete_and_artifact(server: Any, client: Any) -> None:
    """Ids alone will do as names; a picture is checked against its digest."""
    name = client.submit(b"ok").name
    assert client.cancel("j0000").state is nevus.JobState.CANCELLED
    assert client.artifact(name, "overlay").startswith(b"\x89PNG")
    server.damaged = True
    with pytest.raises(nevus.DamagedDownload, match="came damaged"):
        client.artifact(name, "overlay")
    assert client.delete(name).purged_objects == 3
    with pytest.raises(nevus.NotFound, match="no such job") as caught:
        client.get(name)
    assert (caught.value.code, caught.value.reason) == ("NOT_FOUND", "JOB_NOT_FOUND")


def test_models_and_health(server: Any, client: Any) -> None:
    """Cards by any spelling of the name; health by grpc.health.v1 without its package."""
    (card,) = client.models()
    assert (card.model, card.version, card.operating_points, card.evaluation) == (
        "notebook-cnn", "1", {"balanced": 0.5}, {"auroc": 0.8},
    )  # fmt: skip
    assert client.model("notebook-cnn@1") == client.model("notebook-cnn") == client.model(card.name) == card
    server.health["model/long-" + "n" * 100] = 2
    answers = [client.ready(name) for name in ("", "model/notebook-cnn", "model/other")]
    assert answers == [True, True, False]
    server.health[""] = 2
    assert client.ready() is False


def test_refusals_carry_reason_violations_and_metadata(server: Any, client: Any) -> None:
    """What the server put into google.rpc.Status comes out of the exception."""
    with pytest.raises(nevus.InvalidRequest) as caught:
        client.submit(b"refuse")
    error = caught.value
    assert (error.code, error.reason, str(error)) == ("INVALID_ARGUMENT", "CORRUPT_IMAGE", "The image is broken.")
    assert error.violations == (nevus.Violation("image", "CORRUPT_IMAGE", "The image is broken."),)
    assert error.metadata == {"named": "value"}
    assert error.retryable is False
    assert server.calls["SubmitJob"] == 1


def test_what_is_wrong_here_is_said_here(server: Any, client: Any, tmp_path: Path) -> None:
    """A missing file or a misspelt option costs no call."""
    with pytest.raises(nevus.UnreadableImage, match=r"no\.png: No such file or directory\."):
        client.analyze(tmp_path / "no.png")
    with pytest.raises(nevus.InvalidRequest, match="'urgent' is none of stat, routine, bulk"):
        client.submit(b"ok", priority="urgent")
    with pytest.raises(nevus.InvalidRequest, match="not above zero"):
        client.stream(b"ok", queue_ttl_s=0)
    assert not server.calls


def test_nobody_there_names_the_target_and_what_to_do(dead_target: str) -> None:
    """The commonest error of all reads well."""
    with Client(dead_target, retry_for_s=0) as client:
        with pytest.raises(
            nevus.ServerUnreachable, match=r"No nevus server answers at 127\.0\.0\.1:1 \(connection ref"
        ):
            client.get("j1")
        assert client.ready() is False


def test_an_oversize_message_is_told_from_a_quota(server: Any, client: Any) -> None:
    """gRPC's own RESOURCE_EXHAUSTED has no details, is never retried, and points to upload."""
    with pytest.raises(nevus.MessageTooLarge, match="upload"):
        client._connection.unary(
            "SubmitJob",
            __import__("nevus.v1.analysis_service_pb2", fromlist=["x"]).SubmitJobRequest(image=bytes(2**25)),
        )


def test_the_default_target_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """NEVUS_TARGET, where it says something; else loopback."""
    monkeypatch.setenv("NEVUS_TARGET", "elsewhere:1")
    assert Client().target == "elsewhere:1"
    monkeypatch.setenv("NEVUS_TARGET", "")
    assert Client().target == "127.0.0.1:50051"


def test_credentials_and_metadata_travel(server: Any) -> None:
    """The seam for TLS and tokens: metadata goes with every call, credentials make a secure channel."""
    with Client(server.target, metadata=[("authorization", "Bearer x")]) as client:
        assert client.models()
    secure = Client(server.target, credentials=grpc.ssl_channel_credentials(), retry_for_s=0, call_timeout_s=2)
    with secure, pytest.raises(nevus.ServerUnreachable):
        secure.models()


def test_the_protobuf_stubs_are_not_in_the_way(tmp_path: Path) -> None:
    """What the package exports exists, and each public thing is documented."""
    for name in nevus.__all__:
        assert getattr(nevus, name) is not None
    for client_type in (nevus.Client, nevus.AsyncClient):
        public = {name for name in vars(client_type) if not name.startswith("_")}
        assert all(getattr(client_type, name).__doc__ for name in public)
    assert {n for n in dir(nevus.Client) if n[0] != "_"} == {n for n in dir(nevus.AsyncClient) if n[0] != "_"}
