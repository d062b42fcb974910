"""The number format of layers."""

import pathlib

import tensorflow as tf

_CPU_INFO = pathlib.Path("/proc/cpuinfo")
_AMD = "AuthenticAMD"
_AMPERE = (8, 0)


def policy(name: str, strategy: tf.distribute.Strategy) -> str:
    """Returns the name of a Keras dtype policy.

    Args:
        name: "float32"; "bfloat16"; or "auto": bfloat16 where the hardware multiplies it faster.
        strategy: Where training runs.

    Returns:
        "float32" or "mixed_bfloat16": layers compute in bfloat16, variables are float32. bfloat16 has the
        range of float32, so that no loss has to be scaled.
    """
    fast = name == "bfloat16" or (name == "auto" and _multiplies_bfloat16(strategy))
    return "mixed_bfloat16" if fast else "float32"


def _multiplies_bfloat16(strategy: tf.distribute.Strategy) -> bool:
    """Whether every device of a strategy multiplies bfloat16 faster than float32."""
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return True
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus or _is_cpu(strategy):
        return cpu_multiplies_bfloat16()
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return all(detail.get("compute_capability", (0, 0)) >= _AMPERE for detail in details)


def _is_cpu(strategy: tf.distribute.Strategy) -> bool:
    """Whether a strategy keeps off the GPUs that there are."""
    one = isinstance(strategy, tf.distribute.OneDeviceStrategy)
    return one and "CPU" in strategy.extended.worker_devices[0].upper()


def cpu_multiplies_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 faster than float32; False where Linux does not tell.

    Intel's AMX has matrix tiles for it. AVX512_BF16 was measured to be faster than float32 on AMD's Zen 4,
    and slower on an Intel CPU without AMX, which a virtual machine may hide: benchmarks/bench_precision.py.
    """
    try:
        text = _CPU_INFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    lines = (line.partition(":") for line in text.splitlines())
    told = {name.strip(): value.split() for name, _, value in lines}
    flags = told.get("flags", [])
    return "amx_bf16" in flags or ("avx512_bf16" in flags and _AMD in told.get("vendor_id", []))
