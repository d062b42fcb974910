"""The whole pipeline against a bare Keras process, on the same images and the same small CNN.

    python benchmarks/bench_pipeline.py [PAIRS]

10,000 training and 2,000 test PNGs of MNIST in class folders, one epoch, batches of 128. The peer
loads, fits, evaluates and saves; conveyor does all its stages, ingestion to model card.
"""

import json
import pathlib
import shutil
import sys
import tempfile

from measure import measure, print_pairs, unpack_mnist

HERE = pathlib.Path(__file__).parent
OVERRIDES = [
    "data.splits={train: 0.9, validation: 0, test: 0.1}",  # the source's own splits, nothing taken from train
    "model={family: cnn, filters: [32, 64], dense: 128}",
    "trainer={epochs: 1, batch_size: 128, optimizer: {name: adam}}",
    "evaluator.bless=null",
]


def main(pairs: int) -> None:
    """Runs both in turn and prints the ratios."""
    with tempfile.TemporaryDirectory() as root:
        data = pathlib.Path(root) / "data"
        if not unpack_mnist(data, 10_000, 2_000):
            return
        bare = [sys.executable, str(HERE / "bare_keras.py"), str(data), f"{root}/bare.keras"]
        run = [sys.executable, "-m", "conveyor", "run", "mnist_cnn", "--json"]
        run += ["--workspace", f"{root}/workspace", "-o", f"data.source=folder:{data}"]
        run += [part for override in OVERRIDES for part in ("-o", override)]
        measure(bare)  # fills the page cache
        ours, peers = [], []
        for _ in range(pairs):
            peers.append(measure(bare))
            shutil.rmtree(f"{root}/workspace", ignore_errors=True)
            ours.append(measure(run))
        again = measure(run)
        print_pairs("10,000 + 2,000 MNIST images, folder to model card, against bare Keras", ours, peers)
        print(f"the same command again, all cached: {again.seconds:.2f} s")
        shutil.rmtree(f"{root}/workspace")
        peak, peer = (measure(command, sample_every=0.05).peak_mb for command in (run, bare))
        print(f"peak memory of all processes: {peak:.0f} MB; peer {peer:.0f} MB; ratio {peak / peer:.2f}")
        summary = json.loads(ours[-1].output)
        for stage in summary["stages"]:
            print(f"  {stage['name']:18}{stage['seconds']:6.2f} s")
        print(
            f"accuracy: {summary['metrics']['accuracy']['value']:.4f};  peer: {peers[-1].output.strip()[-6:]}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
