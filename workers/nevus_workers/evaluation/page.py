"""The report: one HTML page that holds everything it shows and asks no other address for anything."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from nevus_workers.evaluation import wording
from nevus_workers.evaluation.wording import number, percent, with_interval
from nevus_workers.evaluation.worst import FOUND_CSS, SIDE_PX, TRUTH_CSS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from nevus_core.records import ModelCard
    from nevus_workers.evaluation.analysis import Finding
    from nevus_workers.evaluation.summary import Figures
    from nevus_workers.evaluation.worst import Gallery

STYLE = f"""
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1f2937; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; }} h2 {{ font-size: 1.15rem; margin-top: 2.2rem; }}
.warning {{ background: #fef3c7; border-left: 4px solid #b45309; padding: .6rem 1rem; font-weight: 600; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #e5e7eb; text-align: right; white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; white-space: normal; }} th {{ color: #4b5563; font-size: .85rem; }}
.pictures {{ display: flex; flex-wrap: wrap; gap: 1rem; }} .pictures img {{ width: 25rem; max-width: 100%; }}
.shots {{ display: flex; flex-wrap: wrap; gap: .8rem; }} figure {{ margin: 0; width: {SIDE_PX}px; }}
figcaption, .note {{ font-size: .8rem; line-height: 1.35; color: #4b5563; overflow-wrap: anywhere; }}
.key {{ display: inline-block; width: 1.6em; height: .35em; vertical-align: middle; outline: 1px solid #1f2937; }}
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""The page itself forbids its reader's browser to fetch anything."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """What the page shows beside its tables.

    Attributes:
        charts: Name and PNG bytes of each.
        chart_note: Why there are fewer charts than usual; empty where there are all.
        galleries: The worst cases.
    """

    charts: tuple[tuple[str, bytes], ...]
    chart_note: str
    galleries: Sequence[Gallery]


def render(found: Figures, card: ModelCard, pictures: Pictures) -> str:
    """Returns the page.

    Args:
        found: The summary.
        card: Of the model, for what it says of itself.
        pictures: Charts and worst cases.
    """
    title = escape(wording.title(found))
    sections = (
        _table("Figures", ("", "value (95 % interval)"), wording.headline(found)),
        _notes(found),
        _table(
            "Operating points",
            ("point", "threshold", "sensitivity", "specificity", "malignant missed", "false alarms"),
            wording.operating_rows(found),
        ),
        _charts(pictures),
        _by_source(found),
        _by_diagnosis(found),
        *(_gallery(each) for each in pictures.galleries),
        _refused(found),
        _model(found, card),
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
        f'<p class="warning">{escape(wording.NOT_FOR_CLINICAL_USE)}</p>\n'
        + "".join(section for section in sections if section)
        + "</body>\n</html>\n"
    )


def _table(heading: str, columns: Sequence[str], rows: Iterable[Sequence[str]], note: str = "") -> str:
    """Returns a headed table; every cell is escaped here."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<h2>{escape(heading)}</h2>\n<div class="scroll"><table>\n<tr>{head}</tr>\n{body}\n</table></div>\n'
        + _note(note)
    )


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>\n' if text else ""


def _notes(found: Figures) -> str:
    """Returns how the figures are to be read."""
    notes = ["AUC: 95 % bootstrap interval over images, 2,000 draws; rates: 95 % Wilson intervals."]
    if found["masks"]:
        notes.append("Mask figures are means over the images with a drawn mask, at the image's own size.")
    else:
        notes.append("No drawn masks were given, so there are no mask figures.")
    if found["masks_resized"]:
        notes.append(wording.resized(found))
    notes += [f"{kind}: {count} images." for kind, count in found["quality_issues"].items()]
    return _note(" ".join(notes))


def _charts(pictures: Pictures) -> str:
    """Returns ROC and reliability, or why they are missing."""
    shown = "".join(
        f'<img alt="{escape(name)}" src="{_inline(png, "png")}">' for name, png in pictures.charts
    )  # fmt: skip
    return f'<h2>Curves</h2>\n<div class="pictures">{shown}</div>\n{_note(pictures.chart_note)}'


def _by_source(found: Figures) -> str:
    """Returns the collections, each by itself."""
    rows = [
        (name, str(part["n"]), str(part["malignant"]), with_interval(part["auc"], part["auc_ci"]), number(part["ece"]),
         str(part["masks"]), number(part["jaccard_mean"]), percent(part["one_region_share"]))
        for name, part in found["by_source"].items()
    ]  # fmt: skip
    columns = ("source", "images", "malignant", "AUC", "calibration error", "masks", "mean Jaccard", "one region")
    return _table("By source", columns, rows)


def _by_diagnosis(found: Figures) -> str:
    """Returns what share of each diagnosis every operating point calls malignant."""
    rows = [
        (name, str(part["n"]), str(part["malignant"]), *(percent(share) for share in part["flagged_share"].values()))
        for name, part in found["by_diagnosis"].items()
    ]
    columns = (
        "diagnosis",
        "images",
        "malignant",
        *(f"called malignant at {name}" for name in found["operating_points"]),
    )
    return _table("By diagnosis", columns, rows)


def _gallery(gallery: Gallery) -> str:
    """Returns the worst cases of one kind, with what the two colours mean."""
    heading = f"<h2>{escape(gallery.title)} ({len(gallery.shots)} of {gallery.total})</h2>\n"
    if not gallery.shots:
        return heading + _note("There is none.")
    shots = "\n".join(
        f'<figure><img alt="{escape(one.case.id)}" src="{_inline(jpeg, "jpeg")}">'
        f"<figcaption>{_caption(one)}</figcaption></figure>"
        for one, jpeg in gallery.shots
    )
    legend = (
        f'<p class="note"><span class="key" style="background: {FOUND_CSS}"></span> found, '
        f'<span class="key" style="background: {TRUTH_CSS}"></span> drawn by a person (where there is such a mask)</p>'
    )
    return f'{heading}{legend}\n<div class="shots">\n{shots}\n</div>\n'


def _caption(one: Finding) -> str:
    """Returns what stands under a small picture, escaped."""
    overlap = "" if one.overlap is None else f", Jaccard {one.overlap.jaccard:.2f}"
    words = (one.case.id, ", ".join(filter(None, (one.case.diagnosis, one.case.source))))
    return "<br>".join([*map(escape, words), escape(f"probability {one.probability:.3f}{overlap}")])


def _refused(found: Figures) -> str:
    """Returns the images that are in no figure, or nothing."""
    if not found["failures"]:
        return ""
    rows = [(each["id"], each["reason"], each["message"]) for each in found["failures"]]
    note = "These images are in none of the figures above."
    return _table("Images that the pipeline refused", ("image", "reason", "what was wrong"), rows, note)


def _model(found: Figures, card: ModelCard) -> str:
    """Returns which model it was and what its card says."""
    facts = (
        ("Model", f"{card.title} ({card.key})"), ("SHA-256 of the weights", card.weights_sha256),
        ("Segmenter", card.segmenter), ("Pipeline version", found["pipeline_version"]),
    )  # fmt: skip
    prose = "".join(f"<p>{escape(text)}</p>\n" for text in (card.intended_use, card.limitations))
    return _table("Model", ("", ""), facts) + prose


def _inline(picture: bytes, kind: str) -> str:
    """Returns a picture as the address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode('ascii')}"
