"""Every case through the pipeline, several at a time, so that batches fill as they do in a busy worker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nevus_core.errors import NevusError, SettingsError
from nevus_core.logs import get_logger
from nevus_core.records import PIPELINE_VERSION, Artifact
from nevus_workers.evaluation.overlap import Overlap, compare, decode_mask, read_truth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nevus_workers.evaluation.cases import Case
    from nevus_workers.evaluation.serving import Served

log = get_logger("evaluate")


@dataclass(frozen=True, slots=True)
class Finding:
    """What the pipeline said of one case.

    Attributes:
        case: The labelled image.
        probability: Of malignant, 0..1.
        regions: How many boxes the result has.
        issues: Kinds of its quality issues.
        overlap: With the drawn mask; None where there is none.
        mask_png: The mask that was found, a 1-bit PNG of the image's size; empty where it was not to be kept.
        pipeline_version: As the result says it.
    """

    case: Case
    probability: float
    regions: int
    issues: tuple[str, ...] = ()
    overlap: Overlap | None = None
    mask_png: bytes = b""
    pipeline_version: str = PIPELINE_VERSION


@dataclass(frozen=True, slots=True)
class Refusal:
    """A case that the pipeline refused: UPPER_SNAKE_CASE reason, and a sentence."""

    case: Case
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Analysis:
    """All cases, each either found or refused, both in the cases' order."""

    findings: list[Finding]
    refusals: list[Refusal]


def analyse(
    cases: Sequence[Case], served: Served, *, keep_masks: bool = False, on_done: Callable[[], None] = lambda: None
) -> Analysis:
    """Returns what the pipeline says of the cases.

    Args:
        cases: At least one.
        served: Its options ask for the MASK picture where a case has a drawn mask or `keep_masks` is set.
        keep_masks: Keep the masks that were found, a few KiB each, for pictures.
        on_done: Called after every case, by this thread.

    Raises:
        SettingsError: A drawn mask can't be read, or no case at all could be analysed.
    """
    done: list[Finding | Refusal] = []
    with ThreadPoolExecutor(served.threads, "evaluate") as pool:
        try:
            for answer in pool.map(lambda case: _analyse(case, served, keep_masks=keep_masks), cases):
                done.append(answer)
                on_done()
        except BaseException:  # Ctrl-C too: what has not begun is not to begin
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    findings = [each for each in done if isinstance(each, Finding)]
    refusals = [each for each in done if isinstance(each, Refusal)]
    if not findings:
        first = refusals[0]
        message = f"None of the {len(cases)} images could be analysed. The first, {first.case.id}: {first.message}"
        raise SettingsError(message)
    return Analysis(findings, refusals)


def _analyse(case: Case, served: Served, *, keep_masks: bool) -> Finding | Refusal:
    """Returns what the pipeline says of one case; what it can't do is a refusal, as a job would fail."""
    try:
        outcome = served.analyse(case.path.read_bytes())
    except NevusError as error:
        return Refusal(case, error.reason, error.message)
    except Exception as error:  # the others are to be measured all the same, as other jobs go on
        log.exception("internal_error", case=case.id)
        return Refusal(case, "INTERNAL", f"The pipeline failed with {type(error).__name__}; the log has the details.")
    mask_png = outcome.pictures.get(Artifact.MASK, b"")
    return Finding(
        case=case,
        probability=outcome.result.classification.probability,
        regions=len(outcome.result.regions),
        issues=tuple(issue.kind for issue in outcome.result.quality_issues),
        overlap=compare(read_truth(case.mask), decode_mask(mask_png)) if case.mask is not None else None,
        mask_png=mask_png if keep_masks else b"",
        pipeline_version=outcome.result.provenance.pipeline_version,
    )
