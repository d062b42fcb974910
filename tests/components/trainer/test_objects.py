import numpy as np
import pytest

from conveyor.components.trainer import objects
from conveyor.components.trainer.objects import object_sizes, training_objects


class Column(list):
    def to_pylist(self):
        return list(self)

    def to_numpy(self):
        return np.array(self)


def found(x1, y1, x2, y2, label=0, crowd=False):
    sides = {"x1": x1, "y1": y1, "x2": x2, "y2": y2, "area": (x2 - x1) * (y2 - y1) / 2}
    return {**sides, "label": label, "crowd": crowd, "difficult": False}


@pytest.fixture
def facts(monkeypatch):
    """Two images, 100 x 50 and 40 x 80, and one without objects."""
    rows = [
        [found(10, 10, 30, 20, 1)],
        [],
        [found(0, 0, 40, 80), found(4, 8, 8, 8, 1), found(0, 0, 9, 9, crowd=True)],
    ]
    table = {"width": Column([100, 7, 40]), "height": Column([50, 7, 80]), "objects": Column(rows)}
    monkeypatch.setattr(objects, "read_facts", lambda examples, columns, split: table)


@pytest.mark.parametrize(
    ("resize", "boxes", "areas"),
    [
        # 100 x 50 to 50 x 50: half as wide; 40 x 80: 5/4 as wide, 5/8 as high
        ("stretch", [[5, 10, 15, 20], [0, 0, 50, 50]], [50, 1250]),
        # by a half; by 5/8, whose 25 x 50 px are whole
        ("letterbox", [[5, 5, 15, 10], [0, 0, 25, 50]], [25, 625]),
        ("none", [[10, 10, 30, 20], [0, 0, 40, 80]], [100, 1600]),
    ],
)
def test_objects_in_pixels_of_the_models_input(facts, resize, boxes, areas):
    told = training_objects(None, {"height": 50, "width": 50, "resize": resize})
    assert told.image.tolist() == [0, 2, 2, 2]
    assert told.label.tolist() == [1, 0, 1, 0]
    assert told.crowd.tolist() == [False, False, False, True]
    np.testing.assert_allclose(told.box[:2], boxes)
    np.testing.assert_allclose(told.area[:2], areas)
    sizes = object_sizes(told)  # neither crowds nor what has no height
    np.testing.assert_allclose(sizes, np.array(boxes, float)[:, 2:] - np.array(boxes)[:, :2])
