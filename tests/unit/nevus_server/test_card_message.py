"""A model's card by RPC."""

from __future__ import annotations

from msgspec.structs import replace

from nevus.v1 import model_service_pb2 as pb
from nevus_core.records import ModelOutputs
from nevus_server.convert import card_message
from nevus_server.fleet import ServedModel
from support import made_up


def test_everything_that_a_card_says_is_told() -> None:
    """No field of the message is empty for a card that is full."""
    card = replace(
        made_up.CARD,
        description="d",
        starting_weights="ImageNet, Apache-2.0",
        weights_bytes=1,
        resampling="area",
        outputs=ModelOutputs(probability="malignant", mask="mask", logits=True),
        evaluation={"auc": 0.8},
        evaluation_note="n",
        parameters=3,
        mega_flops=4.0,
    )
    message = card_message(ServedModel(card, 2, 0.0))
    assert [field.name for field in pb.ModelCard.DESCRIPTOR.fields if not getattr(message, field.name)] == []
    assert message.input.resampling == "area"
    assert (message.outputs.probability, message.outputs.mask, message.outputs.logits) == ("malignant", "mask", True)
    assert message.starting_weights == "ImageNet, Apache-2.0"
    assert not card_message(ServedModel(made_up.CARD, 1, 0.0)).HasField("outputs")
