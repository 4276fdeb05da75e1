"""What this package adds to `nevus`: `work`, `train`, `evaluate`, `models fetch`, `verify`, `check`, `add`.

Light to import, for `nevus --help` reads it; the work is imported when a command is called.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from nevus_core.errors import ModelError, NevusError
from nevus_workers.evaluate_command import evaluate
from nevus_workers.models_command import add, check

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress

    from nevus_core.settings import WorkerSettings
    from nevus_workers.training.plan import TrainingPlan

ModelsOption = Annotated[
    Path, typer.Option("--models", metavar="DIR", envvar="NEVUS_MODELS", help="The model repository.")
]
DEFAULT_MODELS = Path("models")


def register(app: typer.Typer, models: typer.Typer) -> None:
    """Adds the commands."""
    app.command("work", rich_help_panel="Run")(work)
    app.command("train", rich_help_panel="Models")(train)
    app.command("evaluate", rich_help_panel="Models")(evaluate)
    models.command("fetch")(fetch)
    models.command("verify")(verify)
    models.command("check")(check)
    models.command("add")(add)


def work(
    redis: Annotated[
        str | None, typer.Option("--redis", metavar="URL", help="Broker: redis://, rediss:// or unix://.")
    ] = None,
    models: Annotated[
        Path | None, typer.Option("--models", metavar="DIR", help="The model repository. Default: models.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, metavar="N", help="Jobs at a time in this process.")
    ] = None,
) -> None:
    """Run one worker process: loads and warms the models, then takes jobs.

    One process a core is right on a CPU, one a card on a GPU. Ctrl-C or SIGTERM finishes what it holds; new versions in
    the repository are found by themselves, or at once with SIGHUP.
    """
    from nevus_core.settings import WorkerSettings, load_settings

    def read() -> WorkerSettings:
        return load_settings(WorkerSettings, redis_url=redis, models=str(models) if models else None, threads=threads)

    try:
        settings = read()
        # A second wall behind the header's check; OpenCV reads it when it is imported.
        os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = str(settings.max_pixels)
        # NumPy's products are small; its threads would take cores from other workers and give nothing.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        from nevus_workers.main import run

        run(settings, read)
    except NevusError as error:
        _fail(error)


def train(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="What to train: derm-joint or notebook-cnn.")],
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder with labels.csv, images/, masks/.")],
    run: Annotated[
        Path | None,
        typer.Option(
            "--run", metavar="DIR", help="Checkpoints; the same command goes on from there. Default: runs/MODEL."
        ),
    ] = None,
    models: ModelsOption = DEFAULT_MODELS,
    version: Annotated[str, typer.Option("--version", help="Version to write in the repository.")] = "1",
    epochs: Annotated[
        int | None,
        typer.Option("--epochs", min=1, help="One takes every malignant image once. Default: the model's own."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of weights, draws and variations.")] = 20,
    cache: Annotated[
        Path, typer.Option("--cache", metavar="DIR", help="Decoded images (derm-joint), shared by runs.")
    ] = Path("runs/cache"),
    measure: Annotated[str, typer.Option("--measure", help="Split of the card's figures: test or val.")] = "test",
    licence: Annotated[str, typer.Option("--licence", help="What the data allow; goes into the card.")] = "Not stated.",
    note: Annotated[str, typer.Option("--note", help="About the data; goes into the card.")] = "",
) -> None:
    """Train a model and write it, with its card, figures and learning curves, into the repository.

    labels.csv has the columns id, label (benign or malignant), source, split (train, val or test) and, if wanted,
    diagnosis and has_mask (1 where there is a mask); the images are images/ID.jpg, the masks masks/ID.png, white on
    black. Ctrl-C keeps the last whole epoch; the same command resumes. derm-joint starts from the ImageNet weights in
    the model repository. --measure val leaves the test images unseen.

    Example: nevus train derm-joint --data ../shared/data
    """
    if measure not in {"test", "val"}:
        raise typer.BadParameter("it is test or val.", param_hint="--measure")
    from nevus_workers.models.repository import Repository
    from nevus_workers.training.progress import TrainingBar
    from nevus_workers.training.publish import publish
    from nevus_workers.training.run import train as train_model

    plan = _plan(name, models, epochs, data=data, run=run or Path("runs") / name, seed=seed, cache=cache)
    try:
        with TrainingBar() as bar:
            train_model(plan, bar)
        _say(f"Measuring on the {measure} images ...")
        repository = Repository(models)
        card = publish(plan, repository, version=version, licence=licence, data_note=note, measure_on=measure)
    except NevusError as error:
        _fail(error)
    except KeyboardInterrupt:
        _say(f"Stopped. The last whole epoch is in {plan.run}; the same command goes on from there.")
        raise typer.Exit(130) from None
    folder = models / card.name / card.version
    _say(f"{card.key}: {measure} AUC {card.evaluation['auc']:.3f}; card and weights in {folder}.")


def _plan(name: str, models: Path, epochs: int | None, *, cache: Path, **settings: Any) -> TrainingPlan:
    """Returns the plan of a model by name, its own number of epochs where none is given."""
    from nevus_workers.training.plan import JointPlan, TrainingPlan
    from nevus_workers.training.pretrained import PRETRAINED_FILE

    if epochs is not None:
        settings["epochs"] = epochs
    if name == "derm-joint":
        return JointPlan(cache=cache, pretrained=models / PRETRAINED_FILE, **settings)
    if name == "notebook-cnn":
        return TrainingPlan(**settings)
    known = "there is one for derm-joint and one for notebook-cnn"
    raise typer.BadParameter(f"there is no recipe for {name}; {known}.", param_hint="MODEL")


def fetch(
    name: Annotated[str, typer.Argument(metavar="MODEL", help="What to fetch: notebook-cnn.")],
    models: ModelsOption = DEFAULT_MODELS,
    url: Annotated[str | None, typer.Option("--url", metavar="URL", help="A mirror that serves the same file.")] = None,
) -> None:
    """Download the original notebook's weights, check them, and put them into the repository as version 0.

    The first download is trusted and its size and digest are written into the card; later ones must match. A download
    that fails leaves nothing behind.
    """
    if name != "notebook-cnn":
        raise typer.BadParameter(f"{name} has no known source; notebook-cnn has one.", param_hint="MODEL")
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from nevus_workers.models.fetch import fetch_notebook_cnn
    from nevus_workers.models.repository import Repository

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    try:
        with Progress(*columns, console=Console(stderr=True)) as bar:
            card = fetch_notebook_cnn(Repository(models), url=url, progress=_download_bar(bar, name))
    except NevusError as error:
        _fail(error)
    _say(f"{card.key}: {card.weights_bytes} bytes, SHA-256 {card.weights_sha256}, in {models / name / card.version}.")


def verify(models: ModelsOption = DEFAULT_MODELS) -> None:
    """Check every model of a repository on this machine: card, weights, size, digest.

    Exit code 0 if all that have weights are sound, else 1.
    """
    from nevus_workers.models.repository import Repository

    repository = Repository(models)
    sound = True
    for name in repository.names():
        for version in repository.versions(name):
            try:
                card = repository.resolve(name, version)
                state = "not fetched" if not repository.has_weights(card) else _verified(repository.verify(card))
            except ModelError as error:
                sound, state = False, f"{error.reason}: {error.message}"
            print(f"{name}@{version}  {state}")  # noqa: T201
    if not repository.names():
        _say(f"There is no model in {models}.")
    raise typer.Exit(0 if sound and repository.names() else 1)


def _verified(weights: Path) -> str:
    return f"sound ({weights.stat().st_size} bytes)"


def _download_bar(bar: Progress, name: str) -> Callable[[int, int | None], None]:
    task = bar.add_task(f"fetching {name}", total=None)

    def tell(done: int, total: int | None) -> None:
        bar.update(task, completed=done, total=total)

    return tell


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201  # a command speaks to its person


def _fail(error: NevusError) -> NoReturn:
    _say(f"nevus: {error.message}")
    raise typer.Exit(3 if error.code == "UNAVAILABLE" else 2) from error
