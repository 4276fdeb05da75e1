"""Which segmenter a request gets, and which ones its model has."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from nevus.v1 import job_pb2
from nevus_core.errors import InvalidRequest
from nevus_core.records import Artifact, WorkerInfo
from nevus_core.settings import ServerSettings
from nevus_server.convert import ARTIFACTS
from nevus_server.fleet import Fleet
from nevus_server.requests import artifact_kind_of, job_options, model_of
from support import made_up

JOINT = replace(made_up.CARD, name="derm-joint", segmenter="network")


class Reports:
    """Stands in for the store: what workers say."""

    async def workers(self) -> list[WorkerInfo]:
        """Returns one worker that holds both models, and announces `otsu`."""
        return [made_up.worker_info("a", (made_up.CARD, JOINT))]


@pytest.fixture
async def fleet() -> Fleet:
    """A fleet that has polled."""
    fleet = Fleet(Reports(), 30.0)  # type: ignore[arg-type]
    await fleet.poll()
    return fleet


@pytest.mark.parametrize(
    ("model", "asked", "given"),
    [
        ("derm-joint", "", "network"),
        ("derm-joint", "network", "network"),
        ("derm-joint", "otsu", "otsu"),
        ("notebook-cnn", "", "otsu"),
        ("notebook-cnn", "otsu", "otsu"),
    ],
)
async def test_segmenters_of_a_model(fleet: Fleet, model: str, asked: str, given: str) -> None:
    """Proves the card's default, its network's own map, and what is announced for every model."""
    options = job_pb2.AnalysisOptions(model=model, segmenter=asked)
    assert job_options(options, fleet, ServerSettings()).segmenter == given


@pytest.mark.parametrize(
    ("model", "asked", "known"),
    [("notebook-cnn", "network", "only: otsu"), ("derm-joint", "magic", "only: network, otsu")],
)
async def test_segmenters_that_a_model_lacks(fleet: Fleet, model: str, asked: str, known: str) -> None:
    """Proves that one model's own map is none of another's, and that the refusal names what there is."""
    options = job_pb2.AnalysisOptions(model=model, segmenter=asked)
    with pytest.raises(InvalidRequest, match=known) as caught:
        job_options(options, fleet, ServerSettings())
    assert caught.value.reason == "UNKNOWN_SEGMENTER"


@pytest.mark.parametrize("asked", ["notebook-cnn", "notebook-cnn@latest", "notebook-cnn@1", ""])
@pytest.mark.parametrize("default", ["notebook-cnn", "notebook-cnn@1", "notebook-cnn@latest"])
async def test_the_version_is_pinned_when_the_job_is_accepted(fleet: Fleet, asked: str, default: str) -> None:
    """Proves every way of asking, and every way in which a deployment names its default."""
    options = job_options(job_pb2.AnalysisOptions(model=asked), fleet, ServerSettings(default_model=default))
    assert (options.model, options.version) == ("notebook-cnn", "1")


@pytest.mark.parametrize("asked", ["notebook-cnn@", "notebook-cnn@newest", "@latest", "notebook-cnn@latest@1"])
async def test_a_version_is_a_number_or_latest(fleet: Fleet, asked: str) -> None:
    """Proves that nothing else is taken for a version."""
    with pytest.raises(InvalidRequest, match="NAME@latest") as caught:
        job_options(job_pb2.AnalysisOptions(model=asked), fleet, ServerSettings())
    assert caught.value.reason == "UNKNOWN_MODEL"


def test_resource_names_of_models() -> None:
    """Proves that `latest` is no version of its own."""
    assert model_of("models/a/versions/1.2") == ("a", "1.2")
    assert model_of("models/a") == model_of("models/a/versions/latest") == ("a", "")


async def test_every_kind_of_picture_can_be_asked_for(fleet: Fleet) -> None:
    """Proves that each has a number in the contract, there and back, and that a repeated one is made once."""
    numbers = [ARTIFACTS[kind] for kind in Artifact]
    assert [artifact_kind_of(number) for number in numbers] == list(Artifact)
    options = job_options(job_pb2.AnalysisOptions(artifacts=numbers * 2), fleet, ServerSettings())
    assert options.artifacts == tuple(Artifact)


@pytest.mark.parametrize("unknown", [0, 99])
async def test_unknown_pictures_are_refused(fleet: Fleet, unknown: int) -> None:
    """Proves that the refusal names what there is, in a job's options and when a picture is fetched."""
    options = job_pb2.AnalysisOptions(artifacts=[unknown])  # type: ignore[list-item]
    with pytest.raises(InvalidRequest, match="OVERLAY, MASK or HEAT_MAP") as caught:
        job_options(options, fleet, ServerSettings())
    assert caught.value.reason == "UNKNOWN_ARTIFACT"
    with pytest.raises(InvalidRequest, match="OVERLAY, MASK or HEAT_MAP"):
        artifact_kind_of(unknown)
