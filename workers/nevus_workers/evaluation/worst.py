"""The images that a person should look at: where the model is sure and wrong, and where its mask is worst."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from nevus_workers.evaluation.overlap import WHITE, decode_mask, fitted, read_truth
from nevus_workers.imaging.decode import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from nevus_workers.evaluation.analysis import Finding

MOST = 12
"""Images shown of each kind."""
SIDE_PX = 160
"""Long side of a small picture."""
FOUND_BGR, TRUTH_BGR, RIM_BGR = (90, 235, 255), (255, 150, 40), (25, 20, 20)
FOUND_CSS, TRUTH_CSS = "#ffeb5a", "#2896ff"
"""The same two colours, as the page's legend writes them."""
JPEG_QUALITY = 85
SUB_PIXEL_BITS = 4


@dataclass(frozen=True, slots=True)
class Gallery:
    """Small pictures of one kind: what they show, how many such images there are in all, and the worst of them.

    Attributes:
        shots: Of each picture the finding and JPEG bytes; at most MOST.
    """

    title: str
    total: int
    shots: tuple[tuple[Finding, bytes], ...]


def galleries(findings: Sequence[Finding], point: str, threshold: float) -> list[Gallery]:
    """Returns the worst cases: malignant ones missed, benign ones flagged, masks; the worst of each first.

    Args:
        findings: With their masks kept.
        point: Name of the operating point that says what is missed and flagged.
        threshold: Its threshold.
    """
    missed = [one for one in findings if one.case.malignant and one.probability < threshold]
    flagged = [one for one in findings if not one.case.malignant and one.probability >= threshold]
    drawn = [one for one in findings if one.overlap is not None]
    kinds: list[tuple[str, list[Finding], Callable[[Finding], float]]] = [
        (f"Malignant, called benign at {point}: lowest probabilities", missed, lambda one: one.probability),
        (f"Benign, called malignant at {point}: highest probabilities", flagged, lambda one: -one.probability),
    ]
    if drawn:
        kinds.append(("Masks: least agreement with the drawn ones", drawn, _agreement))
    return [
        Gallery(title, len(chosen), tuple((one, shot(one)) for one in sorted(chosen, key=rank)[:MOST]))
        for title, chosen, rank in kinds
    ]


def shot(finding: Finding) -> bytes:
    """Returns the image, SIDE_PX on its long side, with both masks' outlines on it, as JPEG bytes.

    Args:
        finding: With its mask kept; without a drawn mask there is the found one's outline alone.
    """
    image = decode(finding.case.path.read_bytes())
    height_px, width_px = image.shape[:2]
    scale = SIDE_PX / max(height_px, width_px)
    size = max(1, round(width_px * scale)), max(1, round(height_px * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    picture = np.ascontiguousarray(cv2.resize(image, size, interpolation=method), np.uint8)
    if finding.case.mask is not None:
        _outline(picture, fitted(read_truth(finding.case.mask), (height_px, width_px)), scale, TRUTH_BGR)
    _outline(picture, decode_mask(finding.mask_png), scale, FOUND_BGR)
    _, encoded = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))
    return encoded.tobytes()


def _agreement(finding: Finding) -> float:
    """Returns the Jaccard of a finding that has one."""
    return finding.overlap.jaccard if finding.overlap is not None else 1.0


def _outline(picture: NDArray[np.uint8], mask: NDArray[np.uint8], scale: float, colour: tuple[int, int, int]) -> None:
    """Draws a full-size mask's outlines into the small picture, in place: a thin line on a dark rim."""
    inside = (mask >= WHITE).astype(np.uint8)
    contours, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    fine: list[Any] = [np.rint((each + 0.5) * scale * 2**SUB_PIXEL_BITS).astype(np.int32) for each in contours]
    for ink, width_px in ((RIM_BGR, 3), (colour, 1)):
        cv2.polylines(picture, fine, True, ink, width_px, cv2.LINE_AA, SUB_PIXEL_BITS)
