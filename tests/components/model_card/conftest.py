"""Artifacts of a small run, made by hand."""

import json
import math
import pathlib

import PIL.Image
import pytest
from layer_rows import layer_row

from conveyor.components import artifacts as kinds
from conveyor.components.model_card.settings import ModelCardSettings
from conveyor.components.model_card.stage import model_card
from conveyor.pipeline.artifacts import seal
from conveyor.pipeline.stage import Context

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&{{7*7}}"


class Run:
    """A finished run of a classifier; `made` holds its artifacts by the name of the card's input."""

    hostile = HOSTILE

    def __init__(self, folder: pathlib.Path, classes: list[str]):
        self.folder = folder
        self.classes = classes
        self.made = {}
        self._data()
        self._model()
        self._evaluation()
        self._verdicts()

    def make(self, name: str, kind: type, properties=None):
        path = self.folder / "made" / name
        path.mkdir(parents=True, exist_ok=True)
        self.made[name] = kind(path, properties or {})
        return self.made[name]

    def stop_after(self, name: str, reason: str, fix: str = ""):
        """Closes the gate of an artifact and takes away all that comes later."""
        self.made[name].close_gate(reason, fix)
        names = list(self.made)
        for later in names[names.index(name) + 1 :]:
            self.made[later] = None

    def card(self, settings=None, config=None, lineage=None, out="card") -> str:
        """Runs the stage; returns the page."""
        self.seal()
        path = self.folder / out
        path.mkdir()
        card = kinds.ModelCard(path)
        context = Context(
            run=f"run-{out}",
            workspace=self.folder,
            lineage=self.lineage() if lineage is None else lineage,
        )
        model_card(
            **self.made,
            card=card,
            settings=settings or ModelCardSettings(config=config or {}),
            context=context,
        )
        assert [file.name for file in path.iterdir()] == ["model_card.html"]
        assert card.properties == {"summary": {"model_card": "{path}/model_card.html"}}
        return card.file.read_text(encoding="utf-8")

    def seal(self):
        for artifact in self.made.values():
            if artifact and not artifact.digest:
                seal(artifact, {})

    def lineage(self, started: float = 1.0) -> list[dict]:
        """What the engine knows of the run's stages, newest first."""
        self.seal()
        digest = {name: artifact.digest for name, artifact in self.made.items() if artifact}
        steps = [("example_gen", [], ["examples"]), ("statistics_gen", ["examples"], ["statistics"])]
        steps += [("trainer", ["examples", "statistics"], ["model"])]
        records = [
            {
                "stage": stage,
                "key": stage,
                "run": f"run-{started}",
                "started": started + number,
                "seconds": started / 7,
                "settings": {"to": str(self.folder / "serving" / "digits"), "note": HOSTILE},
                "inputs": {name: digest[name] for name in inputs if name in digest},
                "outputs": {name: digest[name] for name in outputs if name in digest},
            }
            for number, (stage, inputs, outputs) in enumerate(steps)
        ]
        return records[::-1]

    def _data(self):
        splits = {"train": 1257, "validation": 180, "test": 360}
        examples = self.make(
            "examples",
            kinds.Examples,
            {"splits": splits, "classes": self.classes, "channels": 1, "quarantined": 23, "read": 1820},
        )
        rows = [{"file": f"broken/{i}.png", "reason": "empty", "detail": "0 bytes"} for i in range(23)]
        rows[0]["file"] = HOSTILE
        text = "".join(json.dumps(row) + "\n" for row in rows)
        examples.quarantine_file.write_text(text, encoding="utf-8")
        self.make("statistics", kinds.Statistics).write(
            {name: self._split(count) for name, count in splits.items()}
        )
        anomaly = {"kind": "empty", "severity": "warning", "split": "", "short": "23 files set aside: empty"}
        anomaly |= {"long": "23 of 1820 files were set aside as empty", "examples": [HOSTILE, "b", "c", "d"]}
        self.make("anomalies", kinds.Anomalies).write([anomaly])
        graph = {"height": 32, "width": 32, "channels": 1, "mean": [77.8], "std": [95.9]}
        self.make("transform_graph", kinds.TransformGraph).write(graph)

    def _split(self, count: int) -> dict:
        share = count // len(self.classes)
        size = {"min": 8, "max": 12, "mean": 8.4, "std": 0.5, "quantiles": [8, 8, 8, 9, 12]}
        return {
            "examples": count,
            "classes": {name: share + 7 * i % 11 for i, name in enumerate(self.classes)},
            **dict.fromkeys(("width", "height", "bytes", "brightness"), size),
            "formats": {"png": count},
            "channel_mean": [77.8],
            "channel_std": [95.9],
        }

    def _model(self):
        properties = {"parameters": 64458, "epochs": 12, "best_epoch": 10, "family": "cnn"}
        model = self.make("model", kinds.Model, {**properties, "classes": self.classes})
        falling = [round(2.3 * math.exp(-0.4 * i), 4) for i in range(12)]
        rising = [1 - value / 3 for value in falling]
        history = {
            "loss": falling,
            "val_loss": [value + 0.05 for value in falling],
            "accuracy": rising,
            "val_accuracy": [value - 0.02 for value in rising[:11]] + [math.nan],
        }
        model.history_file.write_text(json.dumps(history), encoding="utf-8")
        layers = [
            layer_row(layer="image", type="InputLayer", output="32x32x1", jump=1, receptive_field=1),
            layer_row(
                layer="conv", output="32x32x32", parameters=320, dense_parameters=33586176, flops=589824
            )
            | {"kernel": 3, "stride": 1, "padding": "same", "dilation": 1, "jump": 1}
            | {"receptive_field": 3, "effective_field": 3},
            layer_row(layer="pool", output="16x16x32", flops=32768, kernel=2, stride=2, padding="valid")
            | {"dilation": 1, "jump": 2, "receptive_field": 4, "effective_field": 4},
            layer_row(layer="flatten", type="Flatten", output="8192", receptive_field=32),
            layer_row(layer="dense", type="Dense", output="10", parameters=81930, receptive_field=32),
        ]
        model.layers_file.write_text(json.dumps(layers), encoding="utf-8")
        PIL.Image.radial_gradient("L").resize((504, 224)).save(model.path / "maps.png")
        pictures = [{"file": "maps.png", "caption": HOSTILE}]
        plots = [
            {"kind": "gallery", "title": "Feature maps", "caption": "How to read it.", "items": pictures}
        ]
        model.plots_file.write_text(json.dumps(plots), encoding="utf-8")

    def _evaluation(self):
        interval = {"value": 0.9871, "low": 0.9796, "high": 0.9935}
        metrics = {"accuracy": interval, "average_precision_macro": {**interval, "value": 0.9912}}
        metrics |= {"ece": {"value": 0.0213, "low": None, "high": None}, "top5_accuracy": interval}
        metrics |= {"psnr": {"value": 31.2, "low": 30.1, "high": 32.4}}
        metrics |= {f"average_precision/{name}": interval for name in self.classes}
        metrics["average_precision/rare/one"] = {"value": None, "low": None, "high": None}
        evaluation = self.make("evaluation", kinds.Evaluation)
        gallery = evaluation.path / "worst"
        gallery.mkdir(exist_ok=True)
        PIL.Image.radial_gradient("L").resize((8, 8)).save(gallery / "small.png")
        big = PIL.Image.radial_gradient("L").resize((900, 600)).convert("RGB")
        big.save(gallery / "big.jpg", comment=b"camera of somebody")
        evaluation.write(
            {
                "split": "test",
                "examples": 360,
                "classes": self.classes,
                "metrics": metrics,
                "plots": self._plots(),
                "gap": {
                    "train": {"accuracy": {"value": 0.9991, "low": 0.9982, "high": 0.9999}},
                    "test": {"accuracy": interval},
                },
            }
        )

    def _plots(self) -> list[dict]:
        count = len(self.classes)
        grid = [i / 200 for i in range(201)]
        series = [
            {"name": name, "x": grid, "y": [1 - (0.02 + 0.01 * i) * x**8 for x in grid]}
            for i, name in enumerate(self.classes)
        ]
        unit = [[0, 1], [0, 1]]
        table = [[34 if i == j else (i * j) % 3 // 2 for j in range(count)] for i in range(count)]
        bars = [
            {"name": name, "value": 0.9, "low": 0.8 + 0.01 * i, "high": 0.95}
            for i, name in enumerate(self.classes)
        ]
        titled = {"caption": "How to read it."}
        pictures = [{"file": "worst/small.png", "caption": f"is 3, taken for {HOSTILE}"}] * 30
        pictures[1] = {"file": "worst/big.jpg", "caption": "large"}
        pictures[2] = {"file": "../examples/quarantine.jsonl", "caption": "outside"}
        return [
            {"kind": "lines", "title": "Precision and recall", **titled, "x": "recall", "y": "precision"}
            | {"series": series, "domain": unit},
            {"kind": "matrix", "title": "Confusion matrix", **titled, "rows": "true class"}
            | {"columns": "predicted class", "labels": self.classes, "values": table},
            {"kind": "lines", "title": "Reliability", **titled, "x": "confidence", "y": "accuracy"}
            | {"series": series[:1], "domain": unit},
            {"kind": "bars", "title": "Average precision", **titled, "x": "value", "y": "class"}
            | {"items": bars},
            {"kind": "gallery", "title": "Worst errors", **titled, "items": pictures},
        ]

    def _verdicts(self):
        check = {"metric": "average_precision_macro", "value": 0.9912, "low": 0.9796, "high": 0.9935}
        check |= {"at_least": 0.98, "passed": True}
        self.make("blessing", kinds.Blessing).write({"blessed": True, "checks": [check]})
        proof = {"blessed": True, "examples": 360, "largest_difference": 0.0, "metrics": {"accuracy": 0.9871}}
        rows = [
            {"format": "onnx", "bytes": 1_250_000, "metric": "accuracy", "value": 0.98, "reason": ""}
            | {"gain": {"value": -0.0071, "low": -0.0092, "high": 0.0013}},
            {"format": "litert", "bytes": None, "metric": "accuracy", "value": None, "gain": None}
            | {"reason": "it cannot be converted: <b>some op</b>"},
        ]
        self.make("formats", kinds.Formats).write({"split": "test", "max_drop": 0.01, "formats": rows})
        self.make("infra_blessing", kinds.InfraBlessing).write(proof)
        pushed = {"destination": "/home/somebody/work/serving/digits", "version": 3, "model": "3"}
        outputs = {"class_id": {"changed": 2, "largest": None}, "scores": {"changed": 9, "largest": 0.125}}
        pushed["against"] = {"version": 2, "images": 32, "outputs": outputs, "problem": ""}
        self.make("pushed", kinds.PushedModel).write(pushed)


@pytest.fixture
def run(tmp_path) -> Run:
    """A run of ten plainly named classes."""
    return Run(tmp_path / "plain", [str(i) for i in range(10)])


@pytest.fixture
def hostile_run(tmp_path) -> Run:
    """A run whose class names mean harm."""
    return Run(
        tmp_path / "hostile", ["cat", HOSTILE, "<!--", "\u2028${x}", "datum['x']", "javascript:alert(1)"]
    )


def summary(*values: float) -> dict:
    """Returns what the statistics say of some numbers."""
    ordered = sorted(values)
    cuts = [ordered[number * (len(ordered) - 1) // 10] for number in range(11)]
    ends = {"min": ordered[0], "max": ordered[-1], "mean": sum(values) / len(values), "std": 1.0}
    return {**ends, "quantiles": cuts, "sketch": {"0": len(values)}}


class DataRun(Run):
    """A finished check of data with objects and masks, without labels and without a model."""

    position = [[(x - 8) ** 2 // (y + 1) for x in range(16)] for y in range(16)]

    def __init__(self, folder: pathlib.Path, classes: list[str], name: str = "slide.jpg"):
        self.name = name
        super().__init__(folder, classes)

    def card(self, settings=None, **more) -> str:
        return super().card(settings or ModelCardSettings(data_only=True), **more)

    def _data(self):
        splits = {"test": 40, "train": 160, "validation": 0}
        properties = {"splits": splits, "classes": self.classes, "quarantined": 2, "faults": 25, "read": 202}
        examples = self.make("examples", kinds.Examples, properties)
        (examples.path / "previews").mkdir(exist_ok=True)
        self._picture(examples.path / "previews" / "0.jpg", (256, 192))
        rows = [
            *[self._row("box_outside", "clipped", field=f"objects[{i}]") for i in range(22)],
            self._row("unreadable", "set_aside"),
            self._row("truncated", "set_aside"),
            self._row("box_degenerate", "dropped", field="objects[3]"),
            self._row("image_size", "kept"),
            self._row("a reason of tomorrow", "kept"),
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        examples.quarantine_file.write_text(text, encoding="utf-8")
        self.make("statistics", kinds.Statistics).write(
            {name: self._split(count) for name, count in splits.items() if count}
        )
        anomalies = self.make("anomalies", kinds.Anomalies)
        self._picture(anomalies.path / "pair.jpg", (800, 300))
        anomalies.write([self._anomaly("warning", []), self._anomaly("error", ["pair.jpg"] * 3)])

    def _picture(self, file: pathlib.Path, size: tuple[int, int]):
        PIL.Image.radial_gradient("L").resize(size).convert("RGB").save(file)

    def _row(self, reason: str, action: str, field: str = "") -> dict[str, str]:
        row = {"file": self.name, "field": field, "reason": reason, "action": action}
        return {
            **row,
            "detail": f"{self.name} is not as it must be",
            **({"preview": "previews/0.jpg"} if field else {}),
        }

    def _anomaly(self, severity: str, files: list[str]) -> dict:
        pictures = [{"file": file, "caption": f"train {self.name} and test {self.name}"} for file in files]
        return {
            "kind": "near_duplicate",
            "severity": severity,
            "split": "test",
            "short": f"a short {severity} about {self.name}",
            "long": f"a long {severity} about {self.name}",
            "examples": [self.name] * 7,
            "pictures": pictures,
        }

    def _split(self, count: int) -> dict:
        some = [float(40 + (7 * i) % 50) for i in range(count)]
        return {
            "examples": count,
            "width": summary(*[640.0] * count),
            **dict.fromkeys(("height", "aspect", "bytes", "brightness", "sharpness"), summary(*some)),
            "formats": {"jpeg": count},
            "modes": {"RGB": count - 1, "CMYK": 1},
            "channel_mean": [120.0, 100.0, 90.0],
            "channel_std": [40.0, 41.0, 42.0],
            "objects": {
                "count": 9 * count,
                "crowd": 1,
                "difficult": 2,
                "empty_images": 3,
                "classes": {name: 9 * count // (1 + i) for i, name in enumerate(self.classes)},
                "per_image": summary(0, 2, 9),
                "size": summary(2, *some, 400),
                "aspect": summary(*some),
                "relative_size": summary(0.01, 0.2, 0.9),
                "position": self.position,
                "per_class": {
                    name: {"count": 3, "images": 2, "size": summary(i + 1, i + 30), "aspect": summary(1, 2)}
                    for i, name in enumerate(self.classes)
                },
            },
            "mask": {
                "shares": {name: 1 / len(self.classes) for name in self.classes},
                "images": dict.fromkeys(self.classes, count // 2),
                "void": 0.0125,
            },
        }

    def _model(self):
        self.made |= dict.fromkeys(("transform_graph", "model"))

    def _evaluation(self):
        self.made["evaluation"] = None

    def _verdicts(self):
        self.made |= dict.fromkeys(("blessing", "formats", "infra_blessing", "pushed"))


@pytest.fixture
def data_run(tmp_path) -> DataRun:
    """A check of data of three plainly named classes."""
    return DataRun(tmp_path / "data", ["RBC", "WBC", "Platelets"])


@pytest.fixture
def hostile_data_run(tmp_path) -> DataRun:
    """A check of data whose classes, files and details mean harm."""
    return DataRun(tmp_path / "hostile_data", ["cat", HOSTILE, "<!--"], name=HOSTILE)
