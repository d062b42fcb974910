"""One small valid data set for each reader of files. Import through sys.path."""

import io
import json

import numpy as np
from small_images import encode, noise
from tensorflow_datasets.proto import tf_example_pb2

from conveyor.components.example_gen.records import write_record

# What comes after the colon, below the folder of the files.
ARGUMENTS = {
    **dict.fromkeys(("folder", "coco", "voc", "yolo", "masks", "tfrecord"), ""),
    "csv": "data.csv",
    "npz": "data.npz",
}


def image(seed):
    return encode(noise(10, 20, seed=seed))


def files_of(reader):
    """Returns {relative path: bytes} of a data set for a reader."""
    return {
        name: data.encode() if isinstance(data, str) else data for name, data in _MAKERS[reader]().items()
    }


def _folder():
    names = ("train/cat/1.png", "train/cat/2.png", "train/dog/3.png", "val/cat/4.png", "val/dog/deep/5.png")
    return {name: image(seed) for seed, name in enumerate(names)}


def _csv():
    rows = ["path,label,split,group,xmin,ymin,xmax,ymax,width,height"]
    rows += ["img/1.png,cat,train,a,1,2,3,4,20,10", "img/1.png,dog,train,a,1,2,3.5,4,20,10"]
    rows += ["img/2.png,dog,val,,0,0,5,5,20,10", "img/3.png,,,,,,,,,"]
    images = {f"img/{seed}.png": image(seed) for seed in (1, 2, 3)}
    return {"data.csv": "\n".join(rows) + "\n", **images}


def _coco():
    files = {}
    for split, first in (("train", 1), ("val", 4)):
        numbers = range(first, first + 3)
        images = [{"id": n, "file_name": f"{n}.png", "width": 20, "height": 10} for n in numbers]
        outlines = [[[1, 2, 4, 2, 4, 6]], {"size": [10, 20], "counts": [7, 193]}, []]
        things = [
            {"id": n, "image_id": n, "category_id": 1 + n % 2, "bbox": [1, 2, 3, 4], "segmentation": outline}
            for n, outline in zip(numbers, outlines, strict=True)
        ]
        categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
        document = {"images": images, "annotations": things, "categories": categories}
        files[f"annotations/instances_{split}.json"] = json.dumps(document)
        files |= {f"images/{split}/{n}.png": image(n) for n in numbers}
    return files


def _voc():
    files = {"ImageSets/Main/train.txt": "1\n2\n", "ImageSets/Main/val.txt": "3\n"}
    for n in (1, 2, 3):
        box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>5</xmax><ymax>6.5</ymax></bndbox>"
        thing = f"<object><name>cat</name><difficult>0</difficult>{box}</object>"
        size = "<size><width>20</width><height>10</height><depth>1</depth></size>"
        files[f"Annotations/{n}.xml"] = f"<annotation><filename>{n}.png</filename>{size}{thing}</annotation>"
        files[f"JPEGImages/{n}.png"] = image(n)
    return files


def _yolo():
    files = {"data.yaml": "path: .\ntrain: images/train\nval: val.txt\nnames:\n  0: cat\n  1: dog\n"}
    files["val.txt"] = "./images/val/3.png\nimages/val/4.png\n"
    for split, numbers in (("train", (1, 2)), ("val", (3, 4))):
        for n in numbers:
            files[f"images/{split}/{n}.png"] = image(n)
            files[f"labels/{split}/{n}.txt"] = "0 0.5 0.5 0.2 0.4\n1 0.1 0.1 0.3 0.1 0.3 0.4\n"
    return files


def _masks():
    files = {"classes.txt": "background 0 0 0\ncat 255 0 0\n"}
    colours = np.zeros((10, 20, 3), np.uint8)
    colours[2:5, 3:7, 0] = 255
    for split, n in (("train", 1), ("train", 2), ("val", 3)):
        files[f"{split}/images/{n}.png"] = image(n)
        files[f"{split}/masks/{n}_mask.png"] = encode(colours if n < 3 else colours[..., 0] // 255)
    return files


def _npz():
    file = io.BytesIO()
    pixels = noise(6 * 7, 5).reshape(7, 6, 5)
    arrays = {"x_train": pixels[:4], "y_train": np.arange(4) % 2, "x_test": pixels[4:] / 255}
    np.savez(file, y_test=np.array([0, 1, 0]), classes=np.array(["cat", "dog"]), **arrays)
    return {"data.npz": file.getvalue()}


def _tfrecord():
    def record(*seeds):
        file = io.BytesIO()
        for seed in seeds:
            message = tf_example_pb2.Example()
            feature = message.features.feature
            feature["image/encoded"].bytes_list.value.append(image(seed))
            feature["image/width"].int64_list.value.append(20)
            feature["image/height"].int64_list.value.append(10)
            feature["image/object/class/label"].int64_list.value.append(1 + seed % 2)
            for side, value in (("xmin", 0.1), ("ymin", 0.2), ("xmax", 0.5), ("ymax", 0.6)):
                feature[f"image/object/bbox/{side}"].float_list.value.append(value)
            write_record(file, message.SerializeToString(deterministic=True))
        return file.getvalue()

    label_map = "item { id: 1 name: 'cat' }\nitem { id: 2 name: 'dog' }\n"
    return {"a-train.tfrecord": record(1, 2, 3), "b-val.tfrecord": record(4, 5), "label_map.pbtxt": label_map}


_MAKERS = {
    "folder": _folder,
    "csv": _csv,
    "coco": _coco,
    "voc": _voc,
    "yolo": _yolo,
    "masks": _masks,
    "npz": _npz,
    "tfrecord": _tfrecord,
}
