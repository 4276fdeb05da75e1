"""ModelService: what live workers serve."""

from __future__ import annotations

from typing import Any

from nevus.v1 import model_service_pb2 as pb
from nevus.v1.model_service_pb2_grpc import ModelServiceServicer
from nevus_core.errors import Unavailable
from nevus_server.convert import card_message
from nevus_server.fleet import Fleet
from nevus_server.requests import model_of


class ModelServicer(ModelServiceServicer):
    """Model cards by RPC."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:  # noqa: ARG002
        """Returns every served version of every model."""
        self._check_broker()
        return pb.ListModelsResponse(models=[card_message(model) for model in self._fleet.live()])

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.GetModelResponse:  # noqa: ARG002
        """Returns one card."""
        name, version = model_of(request.name)
        self._check_broker()
        card = self._fleet.card(name, version)
        served = next(model for model in self._fleet.live() if model.card.key == card.key)
        return pb.GetModelResponse(model=card_message(served))

    def _check_broker(self) -> None:
        if not self._fleet.broker_answers:
            raise Unavailable("The broker can't be reached now. Try again shortly.", reason="BROKER_UNAVAILABLE")
