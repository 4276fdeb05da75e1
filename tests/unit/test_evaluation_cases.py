"""The labelled images of `nevus evaluate`: what is read, and what is said where something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from nevus_core.errors import SettingsError
from nevus_workers.evaluation.cases import Case, Folders, read_cases

HEADER = "id,label,diagnosis,source,has_mask,split"
ROWS = ("a,benign,nevus,here,1,test", "b,malignant,melanoma,there,0,test", "c,benign,,here,,val")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three images, one of them a PNG, and masks of all; the files are empty."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for name in ("a.jpg", "b.png", "c.jpg"):
        (tmp_path / "images" / name).touch()
        (tmp_path / "masks" / f"{name[0]}.png").touch()
    return tmp_path


def read(
    data: Path, *rows: str, header: str = HEADER, splits: tuple[str, ...] = ("test",), masks: bool = True
) -> list[Case]:
    """Reads a table of these rows."""
    table = data / "labels.csv"
    table.write_text("\n".join((header, *rows)) + "\n", encoding="utf-8")
    return read_cases(table, Folders(data / "images", data / "masks" if masks else None), splits)


def test_rows_of_one_split(data: Path) -> None:
    """Proves that the split's rows come in order, with .jpg or .png, and a mask where has_mask is 1."""
    first, second = read(data, *ROWS)
    assert first == Case("a", data / "images" / "a.jpg", False, "here", "nevus", data / "masks" / "a.png")
    assert second == Case("b", data / "images" / "b.png", True, "there", "melanoma", None)


def test_several_splits_and_a_spreadsheets_mark(data: Path) -> None:
    """Proves that several splits are one list, and that a byte-order mark is no part of the first column's name."""
    cases = read(data, *ROWS, header="\ufeff" + HEADER, splits=("val", "test"))
    assert [case.id for case in cases] == ["a", "b", "c"]


def test_without_has_mask_the_files_say(data: Path) -> None:
    """Proves that without the column there is a mask where there is a file."""
    (data / "masks" / "b.png").unlink()
    rows = ("a,benign,here,test", "b,malignant,there,test")
    assert [case.mask is not None for case in read(data, *rows, header="id,label,source,split")] == [True, False]


def test_without_a_folder_of_masks_there_are_none(data: Path) -> None:
    """Proves that has_mask alone asks for nothing."""
    assert [case.mask for case in read(data, *ROWS, masks=False)] == [None, None]


@pytest.mark.parametrize(
    ("rows", "settings", "said"),
    [
        (ROWS, {"header": "id,name,split"}, r"lacks the columns label, source.*names: id, name, split"),
        (ROWS, {"splits": ("tset",)}, r"no row of .*labels\.csv has the split 'tset'\. There are: test, val\."),
        ((), {}, r"There are: none\."),
        (("a,maligant,,here,1,test",), {}, r"line 2: the label is 'maligant'; it must be benign or malignant"),
        (("a,benign,,here,1,test",) * 2, {}, r"line 3: the id 'a' is on line 2 already"),
        ((",benign,,here,1,test",), {}, r"line 2: there is no id"),
        (("d,benign,,here,0,test", *ROWS), {}, r"1 of 3 images are missing.*id 'd' has no .*d\.jpg \(nor \.png\)"),
    ],
    ids=["column", "split", "empty", "label", "twice", "no id", "no image"],
)  # fmt: skip
def test_what_is_wrong_is_said(data: Path, rows: tuple[str, ...], settings: dict, said: str) -> None:
    """Proves that each error names what is wrong and where."""
    with pytest.raises(SettingsError, match=said):
        read(data, *rows, **settings)


def test_a_missing_mask_is_said(data: Path) -> None:
    """Proves that has_mask promises a file."""
    (data / "masks" / "a.png").unlink()
    with pytest.raises(SettingsError, match=r"1 of 1 masks are missing.*id 'a' has no .*a\.png\. "):
        read(data, *ROWS)


def test_a_folder_of_other_masks_is_said(data: Path) -> None:
    """Proves that a folder without any fitting mask is not taken for images without masks."""
    with pytest.raises(SettingsError, match=r"--masks: .* has no ID\.png for any image"):
        read_cases_of_other_folder(data)


def read_cases_of_other_folder(data: Path) -> list[Case]:
    """Reads with a folder of masks that holds none."""
    (data / "others").mkdir()
    table = data / "labels.csv"
    table.write_text("id,label,source,split\na,benign,here,test\n", encoding="utf-8")
    return read_cases(table, Folders(data / "images", data / "others"), ["test"])


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'id,label,source,split\n"a'])
def test_no_table_at_all(data: Path, content: bytes) -> None:
    """Proves that other files than a CSV in UTF-8 give an error and no cases."""
    (data / "labels.csv").write_bytes(content)
    with pytest.raises(SettingsError):
        read_cases(data / "labels.csv", Folders(data / "images"), ["test"])


def test_missing_files_and_folders(data: Path) -> None:
    """Proves that a missing table and a missing folder are named."""
    with pytest.raises(SettingsError, match=r"nothing\.csv can't be read: No such file"):
        read_cases(data / "nothing.csv", Folders(data / "images"), ["test"])
    with pytest.raises(SettingsError, match=r"There is no folder .*elsewhere"):
        read_cases(data / "labels.csv", Folders(data / "elsewhere"), ["test"])
