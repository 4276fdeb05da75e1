"""From messages to records: times to the microsecond, and values that are newer than this client."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from nevus import _convert
from nevus.jobs import JobStage, JobState
from nevus.v1 import job_pb2, result_pb2


@pytest.mark.parametrize("seconds", [-62135596800, -1, 0, 1, 1_795_000_000, 2**31, 253402300799])
@pytest.mark.parametrize("nanos", [0, 1, 999, 1000, 123_456_789, 999_999_999])
def test_times_are_those_that_protobuf_makes(seconds: int, nanos: int) -> None:
    """From the year 1 to 9999, cut to microseconds, in UTC."""
    message = Timestamp(seconds=seconds, nanos=nanos)
    event = _convert.event(job_pb2.JobEvent(event_time=message))
    assert event.event_time == message.ToDatetime(tzinfo=UTC)
    assert event.event_time.tzinfo is UTC


def test_a_time_that_is_not_there_is_none() -> None:
    """The epoch is a time like any other."""
    assert _convert.event(job_pb2.JobEvent()).event_time is None
    epoch = _convert.event(job_pb2.JobEvent(event_time=Timestamp())).event_time
    assert epoch == datetime(1970, 1, 1, tzinfo=UTC)


def test_every_known_value_has_its_name() -> None:
    """As the contract spells it, without the prefix."""
    kinds = result_pb2.QualityIssueKind.items()
    issues = [result_pb2.QualityIssue(kind=number, message=name) for name, number in kinds]
    found = _convert.job(job_pb2.Job(result=result_pb2.AnalysisResult(quality_issues=issues))).result
    assert [(f"QUALITY_ISSUE_KIND_{issue.kind}", issue.message) for issue in found.quality_issues] == [
        (name, name) for name, _ in kinds
    ]


def test_newer_values_are_no_exception() -> None:
    """An old client goes on working with a new server."""
    issue = result_pb2.QualityIssue(kind=999, message="New.")
    measures = result_pb2.LesionMeasures(colours=[999, result_pb2.LESION_COLOUR_BLACK])
    result = result_pb2.AnalysisResult(quality_issues=[issue], measures=measures)
    job = _convert.job(job_pb2.Job(state=999, stage=999, result=result))
    assert (job.state, job.stage) == (JobState.UNSPECIFIED, JobStage.UNSPECIFIED)
    assert [issue.kind for issue in job.result.quality_issues] == ["UNKNOWN"]
    assert job.result.measures.colours == ("unknown", "black")


def test_an_older_servers_result() -> None:
    """It has no measures, and no reason is known to review it."""
    result = _convert.job(job_pb2.Job(result=result_pb2.AnalysisResult())).result
    assert (result.needs_review, result.measures) == (False, None)
