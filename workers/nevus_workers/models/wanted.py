"""Which models a worker is to serve: what the settings name, or the newest version of every model that there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nevus_core.settings import WorkerSettings
    from nevus_workers.models.repository import Repository

LATEST = "latest"
"""As a version: the newest one."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One model that is wanted.

    Attributes:
        name: Of the model.
        versions: Those that would do, the best first; the first that can be loaded is taken.
        named: Whether a setting names it, so that a worker should not start without it.
    """

    name: str
    versions: tuple[str, ...]
    named: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """`name@version` of each."""
        return tuple(f"{self.name}@{version}" for version in self.versions)


def wishes(settings: WorkerSettings, repository: Repository) -> list[Wish]:
    """Returns what is to be served, the most important first: in the settings' order, or the default model first.

    A version that the settings name as shadow is no candidate unless they name it as one to serve too.
    """
    shadow = shadow_key(settings)
    if settings.serve_models:
        specs = [spec.strip() for spec in settings.serve_models.split(",")]
        return [_named(spec, repository, shadow) for spec in specs if spec]
    name, _, version = settings.default_model.partition("@")
    found = []
    if version in repository.versions(name):  # pinned: it has to be there, whatever is newer
        found.append(Wish(name, (version,), named=True))
    names = sorted(repository.names(), key=lambda other: (other != name, other))
    return [*found, *(Wish(other, _newest_first(other, repository, shadow)) for other in names)]


def shadow_key(settings: WorkerSettings) -> str:
    """Returns `name@version` of the shadow; "" where there is none."""
    return settings.shadow.partition(":")[0]


def _named(spec: str, repository: Repository, shadow: str) -> Wish:
    name, _, version = spec.partition("@")
    if version in {"", LATEST}:
        return Wish(name, _newest_first(name, repository, shadow), named=True)
    return Wish(name, (version,), named=True)


def _newest_first(name: str, repository: Repository, shadow: str) -> tuple[str, ...]:
    versions = reversed(repository.versions(name))
    return tuple(version for version in versions if f"{name}@{version}" != shadow)
