"""One kind of work for bench_ingest, in a process of its own: ingest_work.py WHAT FOLDER OUT [WORKERS]."""

import concurrent.futures
import json
import os
import pathlib
import sys
import time


def conveyor(folder: pathlib.Path, out: pathlib.Path, workers: str) -> dict[str, object]:
    """Ingests with conveyor."""
    import pandas  # noqa: F401  pyarrow imports it lazily, and imports are not measured
    import tensorflow_datasets

    from conveyor.components.artifacts import Examples
    from conveyor.components.example_gen.ingest import ingest
    from conveyor.components.example_gen.settings import ExampleGenSettings
    from conveyor.pipeline.artifacts import seal

    tensorflow_datasets.features.Image()  # imports lazily too
    options = [f"--direct_num_workers={workers}", "--direct_running_mode=multi_threading"] if workers else []
    out.mkdir()
    examples = Examples(out)
    settings = ExampleGenSettings.model_validate({"source": f"folder:{folder}", "beam": {"options": options}})
    began = time.perf_counter()
    ingest(examples, settings)
    return {"seconds": time.perf_counter() - began, "digest": seal(examples, {})}


def tfds(folder: pathlib.Path, out: pathlib.Path, workers: str) -> dict[str, object]:
    """Writes with a TFDS GeneratorBasedBuilder, which decodes each image to see that it can be."""
    del workers
    import tensorflow as tf
    import tensorflow_datasets as datasets

    class Small(datasets.core.GeneratorBasedBuilder):
        """Class folders."""

        VERSION = datasets.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": datasets.features.Image(),
                "label": datasets.features.ClassLabel(names=sorted(os.listdir(folder))),
            }
            return datasets.core.DatasetInfo(builder=self, features=datasets.features.FeaturesDict(features))

        def _split_generators(self, _):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for path in sorted(folder.glob("*/*")):
                tf.io.decode_jpeg(path.read_bytes())
                yield str(path), {"image": str(path), "label": path.parent.name}

    builder = Small(data_dir=str(out))
    tf.io.decode_jpeg(next(folder.glob("*/*")).read_bytes())
    began = time.perf_counter()
    builder.download_and_prepare()
    return {"seconds": time.perf_counter() - began}


def loop(folder: pathlib.Path, out: pathlib.Path, workers: str) -> dict[str, object]:
    """Decodes and writes in a plain loop."""
    del workers
    import tensorflow as tf

    labels = {name: label for label, name in enumerate(sorted(os.listdir(folder)))}
    out.mkdir()
    tf.io.decode_jpeg(next(folder.glob("*/*")).read_bytes())
    began = time.perf_counter()
    with tf.io.TFRecordWriter(str(out / "data.tfrecord")) as writer:
        for path in sorted(folder.glob("*/*")):
            data = path.read_bytes()
            tf.io.decode_jpeg(data)
            feature = {
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[data])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[labels[path.parent.name]])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=feature))
            writer.write(example.SerializeToString())
    return {"seconds": time.perf_counter() - began}


def decode(path: str) -> int:
    """Reads and decodes an image, and nothing else."""
    import PIL.Image

    with PIL.Image.open(path) as image:
        image.load()
        return image.width


def threads(folder: pathlib.Path, out: pathlib.Path, workers: str) -> dict[str, object]:
    """Decodes in a thread a core."""
    del out, workers
    return _timed(concurrent.futures.ThreadPoolExecutor(os.cpu_count()), folder)


def processes(folder: pathlib.Path, out: pathlib.Path, workers: str) -> dict[str, object]:
    """Decodes in a process a core."""
    del out, workers
    return _timed(concurrent.futures.ProcessPoolExecutor(os.cpu_count()), folder)


def _timed(pool: concurrent.futures.Executor, folder: pathlib.Path) -> dict[str, object]:
    paths = sorted(map(str, folder.glob("*/*")))
    with pool:
        list(pool.map(decode, paths[:8]))
        began = time.perf_counter()
        list(pool.map(decode, paths, chunksize=50))
        return {"seconds": time.perf_counter() - began}


WORK = {work.__name__: work for work in (conveyor, tfds, loop, threads, processes)}

if __name__ == "__main__":
    what, folder, out, *rest = sys.argv[1:]
    print(json.dumps(WORK[what](pathlib.Path(folder), pathlib.Path(out), rest[0] if rest else "")))
