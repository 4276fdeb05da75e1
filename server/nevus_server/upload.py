"""An image in chunks: header, chunks, trailer; nothing counts before the trailer's digest agrees."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from nevus.v1 import analysis_service_pb2 as pb
from nevus_core.errors import InvalidImage, InvalidRequest, Violation
from nevus_server.budget import Share


@dataclass(frozen=True, slots=True)
class Upload:
    """A complete upload whose digest agreed."""

    header: pb.UploadHeader
    image: bytes


async def receive(parts: AsyncIterator[pb.UploadJobRequest], limit_bytes: int, share: Share) -> Upload:
    """Returns the whole upload.

    Args:
        parts: The caller's stream.
        limit_bytes: Largest image.
        share: Of the front end's budget; takes what arrives.

    Raises:
        InvalidImage: IMAGE_TOO_LARGE; told as soon as it is known.
        InvalidRequest: UPLOAD_ORDER or UPLOAD_DIGEST_MISMATCH.
        Unavailable: FRONT_END_BUSY.
    """
    header: pb.UploadHeader | None = None
    trailer: pb.UploadTrailer | None = None
    image = bytearray()
    async for part in parts:
        kind = part.WhichOneof("part")
        if trailer is not None or (kind == "header") != (header is None) or kind is None:
            raise _wrong_order()
        if kind == "header":
            header = part.header
            _check_size(header.size_bytes if header.HasField("size_bytes") else 0, limit_bytes)
        elif kind == "chunk":
            _check_size(len(image) + len(part.chunk), limit_bytes)
            share.take(len(part.chunk))
            image += part.chunk
        else:
            trailer = part.trailer
    if header is None or trailer is None:
        raise _wrong_order()
    whole = bytes(image)
    digest = await asyncio.to_thread(lambda: hashlib.sha256(whole).hexdigest())
    if trailer.sha256.lower() != digest:
        description = "is not the SHA-256 of the chunks that arrived; send the image again."
        raise InvalidRequest([Violation("trailer.sha256", "UPLOAD_DIGEST_MISMATCH", description)])
    return Upload(header, whole)


def _wrong_order() -> InvalidRequest:
    return InvalidRequest([Violation("part", "UPLOAD_ORDER", "send one header, then chunks, then one trailer.")])


def _check_size(size_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        raise InvalidImage(
            "IMAGE_TOO_LARGE",
            f"has more than the {limit_bytes} bytes that this server takes; send a smaller image.",
            metadata={"size_bytes": str(size_bytes), "limit_bytes": str(limit_bytes)},
        )
