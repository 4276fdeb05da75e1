"""Server reflection, v1alpha as grpcio ships it and v1, whose messages are the same on the wire."""

from __future__ import annotations

import grpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha._async import ReflectionServicer

from nevus.v1 import analysis_service_pb2, model_service_pb2

SERVICE_NAMES = (
    analysis_service_pb2.DESCRIPTOR.services_by_name["AnalysisService"].full_name,
    model_service_pb2.DESCRIPTOR.services_by_name["ModelService"].full_name,
    health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
)
V1 = "grpc.reflection.v1.ServerReflection"


def enable_reflection(server: grpc.aio.Server) -> None:
    """Lets tools such as grpcurl list and call the services without .proto files."""
    names = (*SERVICE_NAMES, reflection.SERVICE_NAME, V1)
    reflection.enable_server_reflection(names, server)
    v1 = grpc.stream_stream_rpc_method_handler(
        ReflectionServicer(names).ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(V1, {"ServerReflectionInfo": v1}),))
