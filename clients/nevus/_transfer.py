"""Pictures in parts: an upload's header, chunks and trailer; an artifact's chunks put together and checked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from nevus._requests import Image, image_size
from nevus.errors import DamagedDownload, NevusError, UnreadableImage
from nevus.v1 import analysis_service_pb2 as pb
from nevus.v1 import job_pb2

CHUNK_BYTES = 512 * 1024


class UploadParts:
    """The messages of one upload, as an iterator that never raises.

    gRPC takes them in a thread of its own and would log a traceback of anything raised there. A file that can't be read
    to its end therefore ends the upload without its trailer, which the server refuses, and `error` says why.

    Attributes:
        error: What ended the parts early; None where all went well.
    """

    def __init__(self, image: Image, options: job_pb2.AnalysisOptions, request_id: str) -> None:
        self.error: NevusError | None = None
        self._parts = _upload_parts(image, options, request_id)

    def __iter__(self) -> Iterator[pb.UploadJobRequest]:
        return self

    def __next__(self) -> pb.UploadJobRequest:
        try:
            return next(self._parts)
        except NevusError as error:
            self.error = error
            raise StopIteration from error


def joined_artifact(name: str, parts: Iterable[pb.GetArtifactResponse]) -> bytes:
    """Returns an artifact's bytes from the messages of GetArtifact, the first of which announces the digest.

    Raises:
        DamagedDownload: They do not match.
    """
    chunks, expected = [], ""
    for part in parts:
        expected = expected or part.sha256
        chunks.append(part.chunk)
    content = b"".join(chunks)
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise DamagedDownload(name, expected, actual)
    return content


def _upload_parts(image: Image, options: job_pb2.AnalysisOptions, request_id: str) -> Iterator[pb.UploadJobRequest]:
    header = pb.UploadHeader(options=options, request_id=request_id, size_bytes=image_size(image))
    yield pb.UploadJobRequest(header=header)
    digest = hashlib.sha256()
    for chunk in _chunks(image):
        digest.update(chunk)
        yield pb.UploadJobRequest(chunk=chunk)
    yield pb.UploadJobRequest(trailer=pb.UploadTrailer(sha256=digest.hexdigest()))


def _chunks(image: Image) -> Iterator[bytes]:
    if isinstance(image, (bytes, bytearray, memoryview)):
        view = memoryview(image).cast("B")
        yield from (bytes(view[start : start + CHUNK_BYTES]) for start in range(0, len(view), CHUNK_BYTES))
        return
    try:
        with Path(image).open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise UnreadableImage(os.fspath(image), error.strerror or str(error)) from error
