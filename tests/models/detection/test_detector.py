"""The base of detectors, by one whose every number is known."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from conveyor.models.detection.detector import Detector
from conveyor.models.detection.settings import DETECTIONS

BOXES = np.array([[2, 2, 12, 12], [3, 2, 13, 12], [-5, 20, 8, 40], [30, 2, 36, 9]], np.float32)


class Fixed(Detector):
    """Four boxes wherever it looks; the scores of two classes are what a single pixel and a weight say."""

    def __init__(self, detections=DETECTIONS):
        inputs = keras.Input((32, 40, 8), name="image")
        scores = keras.layers.GlobalMaxPooling2D(name="raw")(inputs)
        scale = keras.layers.EinsumDense("nc,c->nc", 8, name="scale", kernel_initializer="ones")
        super().__init__(inputs=inputs, outputs=scale(scores), detections=detections)

    def losses_of(self, inputs, targets, raw, training):
        found = tf.cast(targets["labels"] >= 0, tf.float32)
        return {"box_loss": tf.reduce_mean(raw), "class_loss": 2.0 * tf.reduce_mean(found)}

    def scored(self, inputs, raw):
        return tf.repeat(BOXES[np.newaxis], tf.shape(raw)[0], 0), tf.reshape(raw, [-1, 4, 2])


def images(*scores):
    return np.broadcast_to(np.array(scores, np.float32)[:, np.newaxis, np.newaxis], (len(scores), 32, 40, 8))


# boxes 0 and 1 overlap by 90 / 110 = 0.82; of class 0 the better is kept, of class 1 only box 1 is seen
ASKED = images([0.9, 0.0, 0.8, 0.7, 0.0, 0.6, 0.5, 0.0])


def test_serves_the_best_of_each_class_within_the_image():
    found = Fixed().serve(ASKED)
    assert found["boxes"].shape == (1, 100, 4)
    np.testing.assert_allclose(found["scores"][0, :5], [0.9, 0.7, 0.6, 0.5, 0.0], rtol=1e-6)
    np.testing.assert_array_equal(found["labels"][0, :5], [0, 1, 1, 0, -1])
    expected = [BOXES[0], BOXES[1], [0, 20, 8, 32], BOXES[3], [-1] * 4]  # one is cut to the image
    np.testing.assert_array_equal(found["boxes"][0, :5], expected)


@pytest.mark.parametrize(
    ("changed", "scores"),
    [
        ({"iou": 0.9}, [0.9, 0.8, 0.7, 0.6, 0.5, 0.0]),
        ({"score": 0.65}, [0.9, 0.7, 0.0]),
        ({"most": 2}, [0.9, 0.7]),
        # 0.8 is lowered by exp(-0.818^2 / 0.5) = 0.2622
        ({"soft": True}, [0.9, 0.7, 0.6, 0.5, 0.8 * 0.2622, 0.0]),
    ],
)
def test_settings_say_what_is_kept(changed, scores):
    found = Fixed({**DETECTIONS, **changed}).serve(ASKED)
    np.testing.assert_allclose(found["scores"][0, : len(scores)], scores, atol=1e-4)


def test_boxes_of_a_class_vote():
    scores = images([0.9, 0.0, 0.6, 0.7, 0.0, 0.6, 0.5, 0.0])
    found = Fixed({**DETECTIONS, "vote": 0.8}).serve(scores)
    # boxes 0 and 1, one pixel apart, with scores of class 0 of 0.9 and 0.6: 0.4 of a pixel
    np.testing.assert_allclose(found["boxes"][0, 0], [2.4, 2, 12.4, 12], rtol=1e-6)
    others = Fixed().serve(scores)["boxes"][0, 1:4]
    np.testing.assert_allclose(found["boxes"][0, 1:4], others, rtol=1e-6)


def test_a_model_of_before_a_setting_was_there_is_served_as_it_was():
    before = Fixed({name: value for name, value in DETECTIONS.items() if name != "vote"})
    np.testing.assert_array_equal(before.serve(ASKED)["boxes"], Fixed().serve(ASKED)["boxes"])


def test_loss_is_the_sum_of_its_parts_and_each_is_in_the_history():
    model = Fixed()
    model.compile(keras.optimizers.SGD(0.1))
    labels = np.array([[0, -1], [1, 1]], np.int32)
    targets = {"boxes": np.zeros((2, 2, 4), np.float32), "labels": labels}
    history = model.fit(np.repeat(ASKED, 2, 0), targets, batch_size=2, epochs=2, verbose=0).history
    assert set(history) == {"loss", "box_loss", "class_loss"}
    # mean of the raw scores, 3.5 / 8; and twice 3 objects in 4 places
    np.testing.assert_allclose([history["box_loss"][0], history["class_loss"][0]], [0.4375, 1.5])
    np.testing.assert_allclose(history["loss"], np.add(history["box_loss"], history["class_loss"]), rtol=1e-6)
    assert history["box_loss"][1] < history["box_loss"][0]
    judged = model.evaluate(np.repeat(ASKED, 2, 0), targets, verbose=0, return_dict=True)
    assert set(judged) == set(history)


def test_metrics_are_no_weights():
    assert [weight.path for weight in Fixed().weights] == ["scale/kernel"]
