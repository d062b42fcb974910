"""What was set aside, dropped and clipped, by reason."""

import pytest
from documents import brief

from conveyor.components.example_validator.quarantine import check_quarantine


def rows(count, reason="truncated", folder="cat", action="set_aside", field=""):
    rest = {"field": field, "reason": reason, "detail": "of it", "action": action}
    return [{"file": f"{folder}/{number}.png", **rest} for number in range(count)]


def test_nothing():
    assert check_quarantine([], 100, 0.01) == []


@pytest.mark.parametrize(
    ("bad", "read", "limit", "severity"),
    [
        (1, 100, 0.01, "warning"),
        (1, 99, 0.01, "error"),
        (3, 300, 0.01, "warning"),
        (29, 100, 0.29, "warning"),
        (1, 10_000, 0, "error"),
        (10, 10, 1, "warning"),
    ],
)
def test_the_share_set_aside(bad, read, limit, severity):
    (one,) = check_quarantine(rows(bad), read, limit)
    assert brief([one]) == [("truncated", severity, "")]
    assert one["long"].startswith(
        f"{bad} of {read:,} files {'was' if bad == 1 else 'were'} set aside as truncated"
    )
    assert "such as cat/0.png" in one["long"]
    assert ("data.max_quarantine is" in one["long"]) == (severity == "error")


def test_each_reason_is_told():
    found = check_quarantine([*rows(2), *rows(30, "empty", "dog")], 1000, 0.01)
    assert brief(found) == [("empty", "error", ""), ("truncated", "error", "")]
    assert "3.20% in all, and data.max_quarantine is 1.00%" in found[0]["long"]
    assert found[0]["examples"] == [f"dog/{number}.png" for number in range(10)]
    assert found[1]["examples"] == ["cat/0.png", "cat/1.png"]
    assert found[0]["short"] == "30 files set aside: empty"


def test_parts_of_files_are_warnings_and_do_not_count_as_files():
    parts = [
        *rows(3, "box_outside", action="clipped", field="objects[1]"),
        *rows(1, "box_outside", action="dropped", field="objects[2]"),
        *rows(2, "image_size", action="kept"),
    ]
    found = check_quarantine([*parts, *rows(1)], 100, 0.01)
    assert brief(found) == [
        ("truncated", "warning", ""),
        ("box_outside", "warning", ""),
        ("box_outside", "warning", ""),
        ("image_size", "warning", ""),
    ]
    clipped, dropped, kept = found[1:]
    assert clipped["short"] == "3 annotations clipped: box_outside"
    assert "3 annotations of 3 files clipped as box_outside (box lies outside" in clipped["long"]
    assert "such as cat/0.png objects[1]: of it" in clipped["long"]
    assert clipped["examples"][0] == "cat/0.png objects[1]"
    assert dropped["short"] == "1 annotation dropped: box_outside"
    assert kept["examples"] == ["cat/0.png", "cat/1.png"]


def test_hostile_names_and_details_are_cut():
    (row,) = rows(1, action="dropped", field="f" * 5000)
    (one,) = check_quarantine([{**row, "detail": "d" * 5000}], 100, 0.01)
    assert len(one["long"]) < 400
