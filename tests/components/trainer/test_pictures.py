import json

import PIL.Image
from small_run import train, training

MODEL = {"family": "cnn", "filters": [3], "dense": 4}


def test_card_is_given_augmented_examples_and_what_the_model_sees(run, tmp_path):
    settings = training(MODEL, epochs=1).model_copy(update={"augment": [{"random_flip": {}}]})
    model = train(tmp_path, run.examples, run.graph, settings)
    plots = json.loads(model.plots_file.read_text(encoding="utf-8"))
    assert plots[0]["title"] == "Augmentation"
    assert len(plots) > 1
    for plot in plots:
        assert plot["kind"] == "gallery"
        for item in plot["items"]:
            with PIL.Image.open(model.path / item["file"]) as image:
                image.load()


def test_without_augmentation_there_is_no_sheet_of_it(run):
    plots = json.loads(run.model.plots_file.read_text(encoding="utf-8"))
    assert "Augmentation" not in [plot["title"] for plot in plots]
