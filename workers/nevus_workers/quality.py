"""Reasons to distrust a result, read off what was found."""

from __future__ import annotations

from nevus_core.records import QualityIssue
from nevus_workers.imaging.regions import Segmentation


def quality_issues(segmentation: Segmentation) -> tuple[QualityIssue, ...]:
    """Returns what a reader of the regions should know: TOO_MANY_REGIONS, NO_REGION_FOUND, or nothing."""
    if segmentation.left_out:
        message = f"{segmentation.left_out} smaller regions are left out; this is hardly the picture of a lesion."
        return (QualityIssue(kind="TOO_MANY_REGIONS", message=message),)
    if segmentation.regions:
        return ()
    message = "No region stands out from its surroundings; there may be no lesion in the picture."
    return (QualityIssue(kind="NO_REGION_FOUND", message=message),)
