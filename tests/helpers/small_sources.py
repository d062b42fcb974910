"""A small data set of each format. Import through sys.path (see conftest)."""

import io
import json

import numpy as np
from small_images import class_files, encode, noise, write_files

from conveyor.components.example_gen.records import serialize, write_record

IMAGES = {f"{number}.png": encode(noise(20, 30, 3, seed=number)) for number in range(12)}
BOX = (3, 4, 13, 10)  # x1, y1, x2, y2 in pixels; every image has this one of a cat, and twice a dog
XML_OBJECT = (
    "<object><name>{}</name>"
    "<bndbox><xmin>4</xmin><ymin>5</ymin><xmax>13</xmax><ymax>10</ymax></bndbox></object>"
)


def within(folder, files):
    return {f"{folder}/{name}": data for name, data in files.items()}


def coco_json():
    """Returns the JSON of all images."""
    x1, y1, x2, y2 = BOX
    box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "segmentation": [[x1, y1, x2, y1, x2, y2]]}
    return json.dumps(
        {
            "images": [{"id": number, "file_name": name} for number, name in enumerate(IMAGES)],
            "annotations": [
                {"id": number, "image_id": number, "category_id": 1 + (number < 2), **box}
                for number in range(len(IMAGES))
            ],
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        }
    ).encode()


def coco(root):
    return write_files(root, {**within("images", IMAGES), "instances.json": coco_json()})


def voc(root):
    names = ["dog" if number < 2 else "cat" for number in range(len(IMAGES))]
    xmls = {
        f"Annotations/{number}.xml": f"<annotation>{XML_OBJECT.format(name)}</annotation>".encode()
        for number, name in enumerate(names)
    }
    return write_files(root, {**within("JPEGImages", IMAGES), **xmls})


def yolo(root):
    x1, y1, x2, y2 = BOX
    box = f"{(x1 + x2) / 2 / 30} {(y1 + y2) / 2 / 20} {(x2 - x1) / 30} {(y2 - y1) / 20}\n"
    labels = {f"labels/{n}.txt": f"{int(n < 2)} {box}".encode() for n in range(len(IMAGES))}
    return write_files(root, {**within("images", IMAGES), **labels, "classes.txt": b"cat\ndog\n"})


def masks(root, classes=2):
    found = {}
    for name in IMAGES:
        mask = np.zeros((20, 30), np.uint8)
        mask[4:10, 3:13] = classes - 1
        found[f"masks/{name}"] = encode(mask)
    return write_files(root, {**within("images", IMAGES), **found})


def folder(root):
    return write_files(root, class_files(each=6, size=(20, 30), channels=3))


def csv(root):
    rows = [
        f"{name},{'dog' if n < 2 else 'cat'},{'test' if n % 3 else 'train'}" for n, name in enumerate(IMAGES)
    ]
    return write_files(root, {**IMAGES, "list.csv": "\n".join(["path,label,split", *rows]).encode()})


def npz(root):
    file = io.BytesIO()
    pixels = np.stack([noise(20, 30, 3, seed=number) for number in range(12)])
    np.savez(file, x=pixels, y=np.arange(12) // 2 % 2, classes=np.array(["cat", "dog"]))
    return write_files(root, {"data.npz": file.getvalue()})


def tfrecord(root):
    file = io.BytesIO()
    for number, image in enumerate(IMAGES.values()):
        name = b"dog" if number < 2 else b"cat"
        write_record(file, serialize({"image/encoded": image, "image/class/text": name}))
    return write_files(root, {"all.tfrecord-00000-of-00001": file.getvalue()})


def tfds(root):
    import tensorflow_datasets

    write_files(root, {})
    features = tensorflow_datasets.features.FeaturesDict(
        {
            "image": tensorflow_datasets.features.Image(shape=(None, None, 3)),
            "label": tensorflow_datasets.features.ClassLabel(names=["cat", "dog"]),
        }
    )
    template = tensorflow_datasets.core.ShardedFileTemplate(
        data_dir=root, dataset_name="small", filetype_suffix="tfrecord"
    )
    with open(root / "small-train.tfrecord-00000-of-00001", "wb") as file:
        for number, image in enumerate(IMAGES.values()):
            write_record(file, serialize({"image": image, "label": int(number < 2)}))
    split = tensorflow_datasets.core.SplitInfo(
        name="train", shard_lengths=[12], num_bytes=1, filename_template=template.replace(split="train")
    )
    tensorflow_datasets.folder_dataset.write_metadata(
        data_dir=root, features=features, split_infos=[split], filename_template=template, check_data=False
    )
    return root
