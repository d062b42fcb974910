"""Where training runs: a tf.distribute strategy by name."""

import importlib.util
import json
import os
import pathlib

import tensorflow as tf

from conveyor.pipeline.errors import UserError

_DEVICES = pathlib.Path("/dev")
_WHERE = "trainer.strategy in the config"


def open_strategy(name: str) -> tf.distribute.Strategy:
    """Returns a strategy; on one device that is TensorFlow's default, which costs nothing.

    Args:
        name: "auto" for the TPU, all GPUs, the one GPU or the CPU, what there is first; or "cpu", "gpu",
            "mirrored", "multi_worker" (call this before anything else of TensorFlow) or "tpu".

    Raises:
        UserError: The hardware, or for multi_worker its description in TF_CONFIG, is not there.
    """
    if name == "auto":
        several = len(tf.config.list_physical_devices("GPU")) > 1
        name = "tpu" if _tpu() else "mirrored" if several else "one"
    return {
        "one": tf.distribute.get_strategy,
        "cpu": _cpu,
        "gpu": _gpu,
        "mirrored": _mirrored,
        "multi_worker": _multi_worker,
        "tpu": _open_tpu,
    }[name]()


def _cpu() -> tf.distribute.Strategy:
    if tf.config.list_physical_devices("GPU"):
        return tf.distribute.OneDeviceStrategy("/cpu:0")
    return tf.distribute.get_strategy()


def _gpu() -> tf.distribute.Strategy:
    if not tf.config.list_physical_devices("GPU"):
        raise _missing("gpu", "a GPU that TensorFlow sees", "none")
    return tf.distribute.get_strategy()  # puts all on the first GPU


def _mirrored() -> tf.distribute.Strategy:
    for kind in ("GPU", "CPU"):  # logical CPUs are for tests
        devices = tf.config.list_logical_devices(kind)
        if len(devices) > 1:
            return tf.distribute.MirroredStrategy([device.name for device in devices])
    count = len(tf.config.list_logical_devices("GPU"))
    raise _missing("mirrored", "two or more GPUs that TensorFlow sees", str(count))


def _multi_worker() -> tf.distribute.Strategy:
    _check_cluster(os.environ.get("TF_CONFIG"))
    return tf.distribute.MultiWorkerMirroredStrategy()


def _check_cluster(text: str | None) -> None:
    """Says what is wrong with TF_CONFIG, which TensorFlow takes for one worker or waits on for ever."""
    expected = '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
    wrong = UserError(
        "the strategy multi_worker does not know its workers: TF_CONFIG is missing or wrong",
        expected=f"{expected}, with another index on each worker",
        received=(text or "nothing")[:200],
        where="environment variable TF_CONFIG",
        fix="set TF_CONFIG on every worker, or choose another trainer.strategy",
    )
    try:
        config = json.loads(text or "")
        task, cluster = config["task"], config["cluster"]
        members = cluster[task["type"]]
        workers = [*cluster.get("chief", []), *cluster["worker"]]
        if isinstance(task["index"], bool) or not 0 <= task["index"] < len(members):
            raise wrong
    except (ValueError, KeyError, TypeError, AttributeError):
        raise wrong from None
    if not all(isinstance(worker, str) and worker.rpartition(":")[2].isdigit() for worker in workers):
        raise wrong


def _tpu() -> str | None:
    """Returns the name or address of the TPU, "local" where it is in this machine, None without one."""
    # the drivers of older TPUs, and of newer ones, which are not theirs alone
    local = [*_DEVICES.glob("accel[0-9]*")]
    if importlib.util.find_spec("libtpu"):
        local += _DEVICES.glob("vfio/[0-9]*")
    return os.environ.get("TPU_NAME") or ("local" if local else None)


def _open_tpu() -> tf.distribute.Strategy:
    address = _tpu()
    if not address:
        raise _missing(
            "tpu", "a TPU in this machine, or its name in the environment variable TPU_NAME", "none"
        )
    try:
        return tf.distribute.TPUStrategy(tf.distribute.cluster_resolver.TPUClusterResolver.connect(address))
    except (ImportError, RuntimeError, ValueError, tf.errors.OpError, OSError) as error:
        raise UserError(
            f"the TPU {address!r} cannot be opened",
            received=str(error).strip().partition("\n")[0][:200],
            where=_WHERE,
            fix="check TPU_NAME, and that tensorflow-tpu is installed where the TPU is",
        ) from error


def _missing(name: str, expected: str, received: str) -> UserError:
    return UserError(
        f"the strategy {name!r} has nothing to run on",
        expected=expected,
        received=received,
        where=_WHERE,
        fix="choose `strategy: auto`, or run where the hardware is",
    )
