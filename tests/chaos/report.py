"""The table of a chaos run, and whether it passes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from chaos.faults import Strike
from chaos.recovery import idle_strikes
from chaos.verdict import Verdict
from nevus_core.settings import ServerSettings, WorkerSettings

WORST_RECOVERY_S = 5.0
SHOWN = 8
STATED = (
    "lease_s", "heartbeat_s", "max_attempts", "sweep_interval_s", "resend_s", "queue_ttl_s", "execution_timeout_s",
    "max_queued", "worker_grace_s", "drain_s", "max_batch", "threads",
)  # fmt: skip


def say(text: str = "") -> None:
    """Prints a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def failures(verdict: Verdict) -> list[str]:
    """Returns what must not be, in words; empty for a run that passes."""
    found = [f"lost: {one}" for one in verdict.lost]
    found += [f"two results: {one}" for one in verdict.doubled]
    found += [f"two jobs: {one}" for one in verdict.twice]
    found += [f"not covered by retries: {one}" for one in verdict.uncovered]
    found += [f"ended by itself: {one}" for one in verdict.ended]
    found += [f"failed: {reason} x{count}" for reason, count in verdict.failed.items()]
    if verdict.worst_recovery_s > WORST_RECOVERY_S:
        found.append(f"worst recovery {verdict.worst_recovery_s:.2f} s is over {WORST_RECOVERY_S:g} s")
    return found


def print_table(verdict: Verdict, strikes: Sequence[Strike], settings: Mapping[str, str], title: str) -> None:
    """Prints the table of issue 3's first proof."""
    struck = Counter(strike.fault for strike in strikes)
    rows: list[tuple[str, object]] = [(f"fault: {fault}", count) for fault, count in struck.items()]
    rows += [
        ("workers struck while they held nothing", idle_strikes(strikes)),
        ("images sent", verdict.sent),
        ("accepted", verdict.accepted),
        ("succeeded", verdict.succeeded),
        ("failed, with reason", _words(verdict.failed) or 0),
        ("lost (must be 0)", len(verdict.lost)),
        ("with two results (must be 0)", len(verdict.doubled)),
        ("images with two jobs (must be 0)", len(verdict.twice)),
        ("late answers fenced off", verdict.fenced),
        ("jobs by attempts used", _words(verdict.attempts)),
        (
            "worst time from the last kill to running again, s",
            f"{verdict.worst_recovery_s:.2f} (limit {WORST_RECOVERY_S:g})",
        ),
    ]
    rows += _recovery_rows(verdict)
    rows += [
        ("attempts lost without a fault", len(verdict.unexplained)),
        ("longest wait from acceptance to the first run, s", f"{verdict.longest_wait_ms / 1000:.2f}"),
        ("failures that the client's retries hid", _words(verdict.hidden) or 0),
        ("errors not covered by its retries (must be 0)", len(verdict.uncovered)),
        ("processes that ended by themselves (must be 0)", len(verdict.ended)),
    ]
    say(f"\n{title}\n{'-' * len(title)}")
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        say(f"{name:<{width}}  {value}")
    say(f"settings: {stated_settings(settings)}\n")


def print_failures(found: list[str]) -> None:
    """Prints what must not be, the first few of it."""
    for one in found[:SHOWN]:
        say(f"FAILED {one}")
    if len(found) > SHOWN:
        say(f"FAILED ... and {len(found) - SHOWN} more")


def stated_settings(changed: Mapping[str, str]) -> str:
    """Returns the settings that the figures depend on; those over the defaults are marked."""
    defaults = {
        name: field
        for kind in (ServerSettings, WorkerSettings)
        for name, field in msgspec.structs.asdict(kind()).items()
    }
    shown = {name: str(defaults[name]) for name in STATED if name in defaults}
    shown.update({name.lower(): f"{value} (changed)" for name, value in changed.items()})
    return ", ".join(f"{name}={value}" for name, value in shown.items())


def _recovery_rows(verdict: Verdict) -> list[tuple[str, object]]:
    """Returns a row a kind of fault, and the worst jobs with what else happened to them."""
    rows: list[tuple[str, object]] = []
    for fault in sorted({recovery.strike.fault for recovery in verdict.recoveries}):
        own = [recovery for recovery in verdict.recoveries if recovery.strike.fault == fault]
        rows.append((f"  {fault}", _spread([recovery.took_ms for recovery in own])))
    if verdict.recoveries:
        clean = [recovery.whole_ms for recovery in verdict.recoveries if recovery.whole_ms == recovery.took_ms]
        rows.append(("  jobs that one fault hit", _spread(clean) if clean else "none"))
        whole = [recovery.whole_ms for recovery in verdict.recoveries if recovery.whole_ms != recovery.took_ms]
        rows.append(("  jobs that several hit, from the first", _spread(whole) if whole else "none"))
    for worst in sorted(verdict.recoveries, key=lambda recovery: -recovery.took_ms)[:3]:
        times = f"{worst.took_ms / 1000:.2f} s of {worst.whole_ms / 1000:.2f} s after {worst.strike.fault}"
        rows.append((f"    {worst.name}", f"{times}; beside it: {'; '.join(worst.beside) or 'nothing'}"))
    return rows


def _words(counts: Mapping[object, int]) -> str:
    return ", ".join(f"{key}: {count}" for key, count in sorted(counts.items(), key=lambda pair: str(pair[0])))


def _spread(times_ms: list[int]) -> str:
    ordered = sorted(times_ms)
    middle = ordered[len(ordered) // 2]
    return f"n={len(ordered)}, min {ordered[0] / 1000:.2f}, median {middle / 1000:.2f}, max {ordered[-1] / 1000:.2f}"
