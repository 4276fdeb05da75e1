"""Reasons to distrust a result, read off the image and what was found in it, and which of them call for a person.

The limits were chosen on validation images; how often each issue is told, of real and of other pictures, stands in
docs/quality.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nevus_core.records import QualityIssue
from nevus_workers.imaging.dermoscopic import familiar

if TYPE_CHECKING:
    from nevus_workers.imaging.appearance import Appearance
    from nevus_workers.imaging.regions import Segmentation

SMALLEST_SIDE_PX = 112
"""Half of what the smaller network takes: below, more than three of four of its pixels would be invented."""
LEAST_SHARPNESS = 0.30
"""The least of 400 validation images has 0.34; blurred by 1 % of their long side, the most has 0.17."""
MOST_DARK_SHARE = 0.9
"""The most of 400 validation images has 0.50."""
MOST_CLIPPED_SHARE = 0.15
"""One of 400 validation images has more."""

REVIEWED = frozenset({
    "TOO_SMALL",
    "BLURRED",
    "DARK",
    "OVEREXPOSED",
    "NO_REGION_FOUND",
    "TOO_MANY_REGIONS",
    "UNLIKELY_DERMOSCOPIC",
})  # fmt: skip
"""Issues with which a result must not stand alone. All there are: each means that the network was asked about something
unlike what it was measured on. A later kind that only informs stays out."""


def quality_issues(
    appearance: Appearance, width_px: int, height_px: int, segmentation: Segmentation
) -> tuple[QualityIssue, ...]:
    """Returns what a reader of the result should know; nothing of an ordinary image.

    Args:
        appearance: Of the image.
        width_px: Of the upright image.
        height_px: Of the upright image.
        segmentation: Of the image.
    """
    found = []
    if min(width_px, height_px) < SMALLEST_SIDE_PX:
        found.append(_issue("TOO_SMALL", f"The image's short side is below {SMALLEST_SIDE_PX} pixels."))
    if appearance.dark_share >= MOST_DARK_SHARE:
        found.append(_issue("DARK", "The image is underexposed: hardly anything in it is bright."))
    elif appearance.clipped_share > MOST_CLIPPED_SHARE:
        text = f"The image is overexposed: {appearance.clipped_share:.0%} of it is white."
        found.append(_issue("OVEREXPOSED", text))
    if appearance.sharpness < LEAST_SHARPNESS:
        found.append(_issue("BLURRED", "The image is blurred: nothing fine is left in it."))
    if segmentation.left_out:
        text = f"{segmentation.left_out} smaller regions are left out; this is hardly the picture of a lesion."
        found.append(_issue("TOO_MANY_REGIONS", text))
    elif not segmentation.regions:
        text = "No region stands out from its surroundings; there may be no lesion in the picture."
        found.append(_issue("NO_REGION_FOUND", text))
    if not familiar().knows(appearance.traits):
        text = "The picture does not look like dermoscopy: its colours or textures are unlike those of real images."
        found.append(_issue("UNLIKELY_DERMOSCOPIC", text))
    return tuple(found)


def needs_review(issues: tuple[QualityIssue, ...]) -> bool:
    """Returns whether a person should look before anybody uses the result."""
    return any(issue.kind in REVIEWED for issue in issues)


def _issue(kind: str, message: str) -> QualityIssue:
    return QualityIssue(kind=kind, message=message)
