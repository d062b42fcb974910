import numpy as np
import pytest

from conveyor.models.describe.anchors import (
    anchor_advice,
    anchor_plot,
    anchor_report,
    anchor_warnings,
    overlaps,
)
from conveyor.models.metrics.detection.objects import Truth
from conveyor.models.ops import boxes as box_ops
from conveyor.models.ops.anchors import anchor_grid

LEVELS = [anchor_grid((32, 32), 8, [[8, 8]]), anchor_grid((32, 32), 16, [[16, 16]])]
BOXES = np.array([[0, 0, 8, 8], [2, 0, 10, 8], [1, 1, 15, 15], [0, 0, 32, 4], [0, 0, 32, 32]], float)
OBJECTS = Truth.of([0, 0, 1, 1, 1], [0, 0, 0, 1, 1], BOXES, crowd=[False] * 4 + [True])


def test_report_by_hand():
    report = anchor_report(LEVELS, OBJECTS, ["square", "line", "none"])
    # squares: IoU 1; 48 / 80 = 0.6; 14^2 / 16^2 = 0.766. The line: 8 x 4 of 128 + 64 - 32 px^2, 0.2; the
    # 16 px anchor shares 16 x 4: 64 / (128 + 256 - 64) = 0.2 too. The crowd is left out.
    square, line = report["classes"]
    assert (square["name"], square["boxes"], line["name"], line["boxes"]) == ("square", 3, "line", 1)
    assert square["recall_50"] == 1
    assert square["recall_70"] == pytest.approx(2 / 3)
    assert (line["recall_50"], line["recall_70"]) == (0, 0)
    assert square["positives"] == line["positives"] == 1  # the line's is the one that is best
    assert [(level["stride"], level["anchors"], level["boxes"]) for level in report["levels"]] == [
        (8, 16, 3),
        (16, 4, 1),
    ]
    assert [row["name"] for row in report["sizes"]] == ["small"]


def test_overlaps_are_those_of_the_operations():
    random = np.random.default_rng(1)
    low = random.uniform(0, 20, (30, 2))
    boxes = np.concatenate([low, low + random.uniform(2, 12, (30, 2))], 1).astype(np.float32)
    found = overlaps(LEVELS, boxes, 0.3)
    every = box_ops.matrix(box_ops.iou, boxes, np.concatenate(LEVELS)).numpy()
    np.testing.assert_allclose(found.best, every.max(1), rtol=1e-5)
    np.testing.assert_array_equal(found.positives, np.maximum((every >= 0.3).sum(1), 1))


def test_advice_is_about_classes_levels_and_what_they_see():
    rows = [{"jump": 8, "receptive_field": 5}, {"jump": 16, "receptive_field": None}]
    coarse = [*LEVELS, anchor_grid((32, 32), 32, [[200, 200]])]
    report = anchor_report(coarse, OBJECTS, ["square", "line"], rows=rows)
    warning, sees, unused = anchor_advice(report)
    assert warning.startswith("Only 0% of the 1 boxes of line overlap an anchor")
    assert anchor_warnings(report) == [warning]
    assert "stride 8 see 5 px, and the boxes that they are to find are 8 px long" in sees
    assert "1 anchors of stride 32" in unused
    assert anchor_plot(report)["groups"]["IoU 0.5"] == {"square": 1.0, "line": 0.0, "small": 1.0 * 3 / 4}


@pytest.mark.parametrize("levels", [[], LEVELS])
def test_nothing_to_tell(levels):
    nothing = Truth.of([], [], np.zeros((0, 4)))
    assert anchor_report(levels, nothing, ["cat"]) is None
    assert anchor_advice(None) == []
