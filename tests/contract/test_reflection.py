"""A client that has nothing but an address: everything it knows of nevus comes from server reflection.

The client's part imports no stub of ours. What it sees is what grpcurl, grpc_cli or Postman see.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from nevus_core.settings import ServerSettings, load_settings
from nevus_server.main import serving
from support.scripted_worker import ScriptedWorker

ANALYSIS = "nevus.v1.AnalysisService"
MODELS = "nevus.v1.ModelService"


@pytest.fixture
async def target(settings: ServerSettings, worker: ScriptedWorker) -> AsyncIterator[str]:
    """A front end with reflection that has seen a worker."""
    async with serving(settings) as port:
        yield f"127.0.0.1:{port}"


class Stranger:
    """A client that learns the services from the server.

    Args:
        channel: To a front end.
    """

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._database = ProtoReflectionDescriptorDatabase(channel)
        self._pool = DescriptorPool(self._database)

    def services(self) -> set[str]:
        """Returns the full names of the services."""
        return set(self._database.get_services())

    def method(self, service: str, name: str) -> MethodDescriptor:
        """Returns what the server says of an RPC."""
        return self._pool.FindServiceByName(service).FindMethodByName(name)

    def call(self, service: str, method_name: str, /, **fields: object) -> dict[str, object]:
        """Calls a unary RPC. Returns the answer as protobuf's JSON, with the names of the .proto files."""
        method = self.method(service, method_name)
        rpc = self._channel.unary_unary(
            f"/{service}/{method_name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        answer = rpc(GetMessageClass(method.input_type)(**fields), timeout=10)
        return MessageToDict(answer, preserving_proto_field_name=True)


async def test_services_are_listed_and_described(target: str) -> None:
    """Every service is listed; the RPCs, their kinds and their messages are those of the contract."""

    def client() -> None:
        with grpc.insecure_channel(target) as channel:
            stranger = Stranger(channel)
            assert stranger.services() >= {
                ANALYSIS,
                MODELS,
                "grpc.health.v1.Health",
                "grpc.reflection.v1alpha.ServerReflection",
                "grpc.reflection.v1.ServerReflection",
            }
            analyze = stranger.method(ANALYSIS, "Analyze")
            assert (analyze.client_streaming, analyze.server_streaming) == (False, True)
            assert (
                analyze.input_type.fields_by_name["image"].type == analyze.input_type.fields_by_name["image"].TYPE_BYTES
            )
            many = stranger.method(ANALYSIS, "AnalyzeMany")
            assert (many.client_streaming, many.server_streaming) == (True, True)

    await asyncio.to_thread(client)


async def test_models_are_listed_with_messages_from_reflection(target: str) -> None:
    """ListModels answers with the card of the live worker."""

    def client() -> dict[str, object]:
        with grpc.insecure_channel(target) as channel:
            return Stranger(channel).call(MODELS, "ListModels")

    answer = await asyncio.to_thread(client)
    (card,) = answer["models"]
    assert card["name"] == "models/notebook-cnn/versions/1"
    assert card["workers"] == 1
    assert card["intended_use"] == "INTENDED_USE_NOT_FOR_CLINICAL_USE"


async def test_an_image_is_submitted_with_messages_from_reflection(target: str, png: bytes) -> None:
    """SubmitJob takes a nested message and an enum by their reflected types, and GetJob finds the job again."""
    request_id = str(uuid.uuid4())

    def client() -> tuple[dict[str, object], dict[str, object]]:
        with grpc.insecure_channel(target) as channel:
            stranger = Stranger(channel)
            submitted = stranger.call(
                ANALYSIS,
                "SubmitJob",
                image=png,
                options={"segmenter": "otsu", "labels": {"study": "s1"}},
                request_id=request_id,
            )
            return submitted, stranger.call(ANALYSIS, "GetJob", name=submitted["job"]["name"])

    submitted, found = await asyncio.to_thread(client)
    job = submitted["job"]
    assert job["state"] == "JOB_STATE_QUEUED"
    assert job["revision"] == "1"
    assert (job["image"]["format"], job["image"]["width_px"], job["image"]["height_px"]) == ("png", 200, 100)
    assert job["options"]["model"] == "notebook-cnn@1"
    assert job["options"]["labels"] == {"study": "s1"}
    assert found["job"]["name"] == job["name"]


async def test_an_error_reaches_a_stranger(target: str) -> None:
    """A refused image has code, message and rich details also for a client without stubs."""

    def client() -> grpc.RpcError:
        with grpc.insecure_channel(target) as channel, pytest.raises(grpc.RpcError) as refusal:
            Stranger(channel).call(ANALYSIS, "SubmitJob", image=b"no image at all")
        return refusal.value

    refusal = await asyncio.to_thread(client)
    assert refusal.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert refusal.details()
    assert "grpc-status-details-bin" in dict(refusal.trailing_metadata())


async def test_reflection_v1_answers_beside_v1alpha(target: str) -> None:
    """The newer protocol, which grpcurl tries first, lists the same services. No stub: bytes out, bytes in."""
    list_services = b"\x3a\x00"  # ServerReflectionRequest{list_services: ""}: field 7, empty

    def client(version: str) -> bytes:
        with grpc.insecure_channel(target) as channel:
            rpc = channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
            (answer,) = rpc(iter([list_services]), timeout=10)
            return answer

    v1, v1alpha = await asyncio.gather(asyncio.to_thread(client, "v1"), asyncio.to_thread(client, "v1alpha"))
    assert v1 == v1alpha
    assert ANALYSIS.encode() in v1


async def test_reflection_is_off_unless_asked_for(broker_url: str, key_prefix: str) -> None:
    """Without the setting the port tells strangers nothing."""
    settings = load_settings(ServerSettings, {}, listen="127.0.0.1:0", redis_url=broker_url, key_prefix=key_prefix)

    def client(port: int) -> grpc.StatusCode:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            rpc = channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
            with pytest.raises(grpc.RpcError) as refusal:
                list(rpc(iter([b"\x3a\x00"]), timeout=10))
            return refusal.value.code()

    async with serving(settings) as port:
        assert await asyncio.to_thread(client, port) == grpc.StatusCode.UNIMPLEMENTED
