"""All settings: one frozen object per kind of process, built once at start.

Values come from the defaults here, then from the TOML file that NEVUS_CONFIG names, then from `NEVUS_<FIELD>`
environment variables, the later over the earlier. A name that no process knows is an error; one that another kind of
process knows is not, so that all may share one file and one environment.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec
from msgspec import Meta

from nevus_core.errors import SettingsError

PREFIX = "NEVUS_"
OTHER_NAMES = frozenset({"target", "config", "test_poison_sha256"})
"""Names in NEVUS_* that are not fields of a settings object."""

Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Bytes = Annotated[int, Meta(ge=1)]
Automatic = Annotated[int, Meta(ge=0)]
"""0 leaves the choice to nevus (`nevus_workers.arrangement`)."""


class CommonSettings(msgspec.Struct, frozen=True):
    """What front end and worker must agree on."""

    redis_url: Annotated[str, Meta(pattern="^(redis|rediss|unix)://")] = "redis://127.0.0.1:6379/0"
    """Redis 7 or Valkey: `redis://`, `rediss://` or `unix:///path`. One primary, no cluster."""
    redis_password_file: str = ""
    """File that holds the broker's password, if it has one."""
    key_prefix: Annotated[str, Meta(pattern=r"^[a-z0-9_-]+$")] = "nevus"
    """Before every key and queue name, so that several systems can share a broker."""
    lease_s: Seconds = 3.0
    """How long a worker may be silent before its jobs go to others. At least three heartbeats."""
    heartbeat_s: Seconds = 0.75
    """How often a worker process renews its leases."""
    max_attempts: Count = 3
    """Claims of one job before it FAILS with WORKER_LOST."""
    max_pixels: Count = 64_000_000
    """Largest width x height, read from the header before anything is decoded; the worker's decoder keeps to it too."""
    execution_timeout_max_s: Seconds = 600.0
    """The longest `execution_timeout` that a request may ask for; the broker's visibility timeout is three times it."""
    default_model: Annotated[str, Meta(pattern=r"^[a-z0-9-]+(@([0-9.]+|latest))?$")] = "derm-joint"
    """Model of requests that name none: `NAME` or `NAME@latest`, the newest version that is served, or `NAME@VERSION`.
    Workers load it first."""
    log_level: Annotated[str, Meta(pattern="^(debug|info|warning|error)$")] = "info"
    """What is logged."""
    log_format: Annotated[str, Meta(pattern="^(json|console)$")] = "json"
    """One JSON object a line, or coloured text."""


class ServerSettings(CommonSettings, frozen=True):
    """The front end's."""

    listen: str = "127.0.0.1:50051"
    """HOST:PORT of the gRPC port; port 0 takes a free one."""
    metrics_listen: str = ""
    """HOST:PORT of Prometheus metrics over HTTP (docs/metrics.md); empty: none. Neither encrypted nor protected."""
    inline_limit_bytes: Bytes = 16 * 2**20
    """Largest image inside one message (SubmitJob, Analyze, AnalyzeMany)."""
    upload_limit_bytes: Bytes = 256 * 2**20
    """Largest image through UploadJob."""
    max_queued: Count = 10_000
    """QUEUED jobs in all; beyond it UNAVAILABLE (QUEUE_FULL)."""
    max_queued_per_tenant: Count = 10_000
    """QUEUED jobs of one tenant; beyond it RESOURCE_EXHAUSTED (QUOTA_EXCEEDED)."""
    max_held_bytes: Bytes = 2 * 2**30
    """Images that the broker holds, in all; beyond it UNAVAILABLE (STORE_FULL)."""
    max_held_bytes_per_tenant: Bytes = 2 * 2**30
    """The same for one tenant; beyond it RESOURCE_EXHAUSTED (QUOTA_EXCEEDED)."""
    max_intake_bytes: Bytes = 512 * 2**20
    """Images on their way through this process at a time; beyond it UNAVAILABLE (FRONT_END_BUSY)."""
    queue_ttl_s: Seconds = 3600.0
    """Default of a request's `queue_ttl`."""
    queue_ttl_max_s: Seconds = 86_400.0
    """Longest `queue_ttl` that a request may ask for."""
    execution_timeout_s: Seconds = 60.0
    """Default of a request's `execution_timeout`."""
    result_ttl_s: Seconds = 86_400.0
    """How long record, result and artifacts are kept after the outcome."""
    dead_letter_ttl_s: Annotated[float, Meta(ge=0)] = 3600.0
    """How long the image of a job that failed through no fault of the image is kept for ResubmitJob; 0: not at all."""
    worker_grace_s: Seconds = 30.0
    """Jobs for a model are still accepted this long after its last worker was seen; then UNAVAILABLE (NO_WORKER)."""
    sweep_interval_s: Seconds = 0.25
    """How often expired leases and deadlines are looked for."""
    lost_message_s: Seconds = 2.0
    """A job whose message is this old and nowhere to be found (or was overtaken) gets another one."""
    wait_cap_s: Seconds = 60.0
    """Longest WaitJob."""
    deadline_cap_s: Seconds = 3600.0
    """Longest stream of Analyze and WatchJob; the caller then resumes. Also where it set no deadline."""
    many_window: Count = 128
    """Unfinished images that one AnalyzeMany stream may have."""
    page_size: Count = 50
    """ListJobs: default page."""
    page_size_max: Count = 500
    """ListJobs: larger pages are cut to this."""
    probe_period_s: Annotated[float, Meta(ge=0)] = 1.0
    """On SIGTERM: how long health says NOT_SERVING before anything is refused, so that balancers turn away first."""
    drain_s: Annotated[float, Meta(ge=0)] = 10.0
    """On SIGTERM: how long running calls may go on."""
    reflection: bool = False
    """Whether server reflection is on (`nevus up` turns it on)."""


class WorkerSettings(CommonSettings, frozen=True):
    """A worker process's."""

    models: str = "models"
    """The model repository's folder."""
    serve_models: str = ""
    """Comma-separated `NAME` or `NAME@VERSION` to load; empty loads the newest version of every model."""
    models_poll_s: Annotated[float, Meta(ge=0)] = 10.0
    """How often the repository is looked at for new versions, as it is on SIGHUP; 0: only on SIGHUP."""
    models_keep_s: Annotated[float, Meta(ge=0)] = 60.0
    """A version that is no longer wanted is kept until no job has used it for so long: jobs pinned to it may still
    wait. More than the front ends' `worker_grace_s`."""
    models_memory_mib: Annotated[int, Meta(ge=0)] = 0
    """What all loaded models may take together; one that would go beyond it is not loaded. 0: no bound. A new version
    is loaded beside the old one, so leave room for both."""
    shadow: Annotated[str, Meta(pattern=r"^([a-z0-9-]+@[0-9.]+:(0\.[0-9]*[1-9][0-9]*|1(\.0+)?))?$")] = ""
    """`NAME@VERSION:SHARE`: that share of the jobs (above 0, up to 1) is also given to this version, after the answer
    and only while there is nothing else to do; the two are compared (docs/models.md). Empty: none."""
    threads: Automatic = 0
    """Jobs at a time in this process, those on their way to and from the broker included; 0: 2 x max_batch or more."""
    decoders: Automatic = 0
    """Images that are decoded and segmented at a time; 0: 1 on a CPU (one process a core), else a card's cores."""
    max_batch: Automatic = 0
    """Largest batch of the network; 0: 8 on a CPU (more gains nothing there and costs memory), 32 on a GPU."""
    own_cores: Automatic = 0
    """Cores that are this process's own where several share a machine, as `nevus up` shares them out; 0: all that it
    may use. With one, decoding and the network take turns on it."""
    home_core: Annotated[int, Meta(ge=0)] | None = None
    """Number of the core that a process with one of its own keeps to while batch follows batch; `nevus up` gives them
    out. Not set: it runs wherever the system puts it."""
    max_wait_ms: Annotated[float, Meta(ge=0)] | None = None
    """Longest wait for a fuller batch while other jobs are on their way to it; 0: none. Not set: 100 where decoding and
    the network take turns on one core (it is at work on those images meanwhile), else 2."""
    engine_threads: Automatic = 0
    """Cores that the network may use for an image that is alone; 0: 2 on a CPU. Batches keep to one."""
    engine_dtype: Annotated[str, Meta(pattern="^(float32|bfloat16)$")] = "float32"
    """What the network computes in, but for its last layers. bfloat16 moves probabilities and pays on some processors
    only (docs/performance.md); it is for the networks that nevus builds, not for a Keras file of one's own."""
    reduced_decode: bool = True
    """Whether a large JPEG may be decoded at a half or a quarter of its size where only a network that takes the mean
    of its pixels looks at it (docs/performance.md says what that moves)."""


S = TypeVar("S", bound=CommonSettings)


def load_settings(kind: type[S], environ: Mapping[str, str] | None = None, **overrides: Any) -> S:
    """Returns the settings of one kind of process.

    Args:
        kind: `ServerSettings` or `WorkerSettings`.
        environ: Instead of `os.environ`.
        overrides: Fields that a command line set; they win over everything. None means not set.

    Raises:
        SettingsError: A name is unknown, or a value has the wrong type or lies outside its range.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    if path := environ.get(PREFIX + "CONFIG"):
        values.update(_from_file(Path(path)))
    values.update({key[len(PREFIX) :].lower(): value for key, value in environ.items() if key.startswith(PREFIX)})
    values.update({key: value for key, value in overrides.items() if value is not None})
    _refuse_unknown(values)
    own = {key: value for key, value in values.items() if key in kind.__struct_fields__}
    try:
        settings = msgspec.convert(own, kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"Setting: {error}. Names and ranges are in nevus_core/settings.py.") from error
    if settings.lease_s < 3 * settings.heartbeat_s:
        raise SettingsError(
            f"lease_s ({settings.lease_s:g}) must be at least three times heartbeat_s ({settings.heartbeat_s:g}), "
            "or a worker that is merely slow loses its jobs."
        )
    return settings


def broker_url(settings: CommonSettings) -> str:
    """Returns `redis_url` with the password from `redis_password_file` in it.

    Raises:
        SettingsError: The password file can't be read.
    """
    if not settings.redis_password_file:
        return settings.redis_url
    try:
        password = Path(settings.redis_password_file).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"redis_password_file can't be read: {error.strerror}.") from error
    parts = urlsplit(settings.redis_url)
    host = parts.netloc.rpartition("@")[2]
    user = parts.username or ""
    return urlunsplit(parts._replace(netloc=f"{user}:{quote(password, safe='')}@{host}"))


def redacted(settings: CommonSettings) -> dict[str, Any]:
    """Returns every field and value for printing; a password in the broker's URL is masked."""
    values = msgspec.structs.asdict(settings)
    parts = urlsplit(settings.redis_url)
    if parts.password:
        values["redis_url"] = urlunsplit(parts._replace(netloc=f"***@{parts.netloc.rpartition('@')[2]}"))
    return values


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"NEVUS_CONFIG names {path}, which can't be read: {error.strerror}.") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}.") from error


def _refuse_unknown(values: Mapping[str, Any]) -> None:
    known = {*ServerSettings.__struct_fields__, *WorkerSettings.__struct_fields__, *OTHER_NAMES}
    for name in values:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]} ({PREFIX}{near[0].upper()})?" if near else ""
            raise SettingsError(f"Unknown setting {name} ({PREFIX}{name.upper()}).{hint}")
