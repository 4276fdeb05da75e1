"""Keeps the library in step with the repository: loads what is new beside what serves, lets go what is not wanted.

It looks when the process starts, then every `models_poll_s` and whenever it is asked to (SIGHUP), on a thread of its
own. What can't be loaded is told once, with the reason, and what was served before goes on.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nevus_core.errors import ModelError, NevusError
from nevus_core.logs import get_logger
from nevus_core.records import ModelCard
from nevus_core.settings import WorkerSettings
from nevus_workers.models.library import Library
from nevus_workers.models.repository import Repository
from nevus_workers.models.serving import Loader, least_bytes
from nevus_workers.models.wanted import LATEST, Wish, shadow_key, wishes

log = get_logger("models")

TIDY_S = 1.0
"""How often models that are leaving are looked at."""
NO_MEMORY = "MODEL_OVER_MEMORY"

Files = tuple[tuple[str, int, int], ...]
"""Name, size and time of change of a version's files: whether it is worth trying again."""


@dataclass(slots=True)
class Librarian:
    """Looks after one library.

    Attributes:
        library: Changed by this alone.
        loader: Makes a card into a model.
        repository: What there is.
        settings: Returns what is wanted now.
        in_use: Returns `name@version` of the jobs that are held.
    """

    library: Library
    loader: Loader
    repository: Repository
    settings: Callable[[], WorkerSettings]
    in_use: Callable[[], Collection[str]]
    _refused: dict[str, tuple[Files, float | None]] = field(default_factory=dict)
    _needs: dict[str, int] = field(default_factory=dict)
    _wake: threading.Event = field(default_factory=threading.Event)
    _asked: bool = False
    _stopping: bool = False
    _thread: threading.Thread | None = None

    def open(self) -> None:
        """Loads what is wanted, for the first time.

        Raises:
            ModelError: One that the settings name can't be found, verified or loaded; or there is none at all.
        """
        self._look(strict=True)

    def start(self) -> None:
        """Looks again and again from now on, in the background."""
        self._thread = threading.Thread(target=self._run, name="librarian", daemon=True)
        self._thread.start()

    def look_now(self) -> None:
        """Has the thread look at the repository; called by a signal handler."""
        self._asked = True
        self._wake.set()

    def stop(self) -> None:
        """Ends the thread; a model that is being loaded is loaded to the end."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """Looks at the repository once: loads, announces, retires."""
        self._look(strict=False)

    def _run(self) -> None:
        looked_s = time.monotonic()
        while True:
            poll_s = self.settings().models_poll_s
            due_s = looked_s + poll_s - time.monotonic() if poll_s else None
            self._wake.wait(TIDY_S if self.library.leaving and (due_s is None or due_s > TIDY_S) else due_s)
            self._wake.clear()
            if self._stopping:
                return
            try:
                if self._asked or (poll_s and time.monotonic() - looked_s >= poll_s):
                    self._asked, looked_s = False, time.monotonic()
                    self.look()
                self.library.tidy(self.in_use(), self.settings().models_keep_s)
            except Exception:  # whatever it is: what serves goes on, and the next look may succeed
                log.exception("look_failed")

    def _look(self, *, strict: bool) -> None:
        settings = self.settings()
        served, refusals = [], []
        for wish in wishes(settings, self.repository):
            refused: list[ModelError] = []
            key = self._grant(wish, settings, refused) or self._served_before(wish)
            if key and key not in served:
                served.append(key)
            elif strict and wish.named:
                self._insist(wish, refused)
            refusals += refused
        if served:
            self.library.arrange(served, self._shadow(settings))
            if strict and not _default_among(served, settings):
                log.warning("default_model_not_served", default_model=settings.default_model, serving=served)
        elif strict:
            raise next(iter(refusals), _nothing(settings))
        else:
            log.error("nothing_to_serve", models=settings.models, kept=list(self.library.keys()))

    def _shadow(self, settings: WorkerSettings) -> str:
        name, _, version = shadow_key(settings).partition("@")
        return self._grant(Wish(name, (version,), named=True), settings, []) if name else ""

    def _grant(self, wish: Wish, settings: WorkerSettings, refused: list[ModelError]) -> str:
        """Returns the best version of a wish that is held, after loading it if need be; "" where none can be had.

        Args:
            wish: What is wanted.
            settings: Bound the memory.
            refused: Gets what was wrong with those that were tried.
        """
        for key, version in zip(wish.keys, wish.versions, strict=True):
            if self.library.place(key) is not None:
                return key
            try:
                if self._load(wish, version, settings):
                    return key
            except ModelError as error:
                refused.append(error)
                log.warning("model_refused", model=key, reason=error.reason, why=error.message)
        return ""

    def _insist(self, wish: Wish, refused: Sequence[ModelError]) -> None:
        """Raises what is wrong with a model that the settings name, unless only memory is short."""
        if not refused:
            self.repository.resolve(wish.name)  # says that there is none
        for error in refused:
            if error.reason != NO_MEMORY:
                raise error

    def _load(self, wish: Wish, version: str, settings: WorkerSettings) -> bool:
        """Loads a version into the library. Returns False where there is nothing new to say of it.

        Raises:
            ModelError: It can't be loaded; the same files are not tried again.
        """
        key = f"{wish.name}@{version}"
        files, room = _files(self.repository.root / wish.name / version), self._room(settings)
        before, room_before = self._refused.get(key, (None, None))
        if files == before and (room_before is None or room <= room_before):
            return False
        try:
            card = self.repository.resolve(wish.name, version)
            if not wish.named and not self.repository.has_weights(card):
                return False
            self._check_memory(card, settings, max(least_bytes(card), self._needs.get(key, 0)))
            model = self.loader.load(card)
            self._needs[key] = model.bytes_taken
            try:
                self._check_memory(card, settings, model.bytes_taken)
            except ModelError:
                model.batcher.close()
                raise
        except ModelError as error:
            self._refused[key] = (files, room if error.reason == NO_MEMORY else None)
            raise
        except Exception as error:
            self._refused[key] = (files, None)
            text = f"{key} can't be loaded: {type(error).__name__}."
            raise ModelError(text, reason="MODEL_NOT_LOADED", metadata={"model": key}) from error
        self._refused.pop(key, None)
        self.library.add(model)
        return True

    def _room(self, settings: WorkerSettings) -> float:
        """Returns how many bytes further models may take."""
        return (settings.models_memory_mib << 20 or math.inf) - self.library.bytes_taken

    def _check_memory(self, card: ModelCard, settings: WorkerSettings, needed: int) -> None:
        if needed <= self._room(settings):
            return
        text = (
            f"{card.key} takes {needed >> 20} MiB, those that are loaded take {self.library.bytes_taken >> 20} MiB: "
            f"together more than models_memory_mib allows ({settings.models_memory_mib})."
        )
        raise ModelError(text, reason=NO_MEMORY, metadata={"model": card.key})

    def _served_before(self, wish: Wish) -> str:
        """Returns what was served of a model until now; "" where there was nothing."""
        return next((card.key for card in self.library.cards() if card.name == wish.name), "")


def reread(load: Callable[[], WorkerSettings], known: WorkerSettings) -> Callable[[], WorkerSettings]:
    """Returns what reads the settings anew, for their file may have changed; where it is wrong, the last ones hold.

    Args:
        load: Reads them.
        known: As they were at the start.
    """
    last, told = known, ""

    def settings() -> WorkerSettings:
        nonlocal last, told
        try:
            last, told = load(), ""
        except (NevusError, OSError, ValueError) as error:
            if str(error) != told:
                told = str(error)
                log.warning("settings_refused", why=told)
        return last

    return settings


def _default_among(served: Sequence[str], settings: WorkerSettings) -> bool:
    """Returns whether one of `name@version` answers where a request names no model."""
    name, _, version = settings.default_model.partition("@")
    if version in {"", LATEST}:
        return any(key.startswith(f"{name}@") for key in served)
    return settings.default_model in served


def _files(folder: Path) -> Files:
    """Returns what to know a version's files by; empty where there is none."""
    if not folder.is_dir():
        return ()
    found = [(entry.name, entry.stat()) for entry in sorted(folder.iterdir()) if entry.is_file()]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in found)


def _nothing(settings: WorkerSettings) -> ModelError:
    return ModelError(
        f"There is no model with weights in {settings.models}. Train one (`nevus train derm-joint`), fetch "
        "one (`nevus models fetch notebook-cnn`, served with NEVUS_DEFAULT_MODEL=notebook-cnn), or name another folder "
        "with NEVUS_MODELS.",
        reason="MODEL_NOT_FOUND",
    )
