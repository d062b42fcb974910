import types

import pytest
import tensorflow as tf

from conveyor.components.trainer import precision
from conveyor.components.trainer.precision import cpu_multiplies_bfloat16, policy

ONE = tf.distribute.get_strategy()
INTEL, AMD = "processor\t: 0\nvendor_id\t: GenuineIntel\n", "processor\t: 0\nvendor_id\t: AuthenticAMD\n"
XEON = INTEL + "flags\t\t: fpu sse avx512_bf16 amx_bf16 amx_tile amx_int8\n"
WITHOUT_AMX = INTEL + "flags\t\t: fpu sse avx512f avx512_bf16 avx512_fp16\n"
EPYC = AMD + "flags\t\t: fpu sse avx512f avx512_bf16\n"
OLDER = AMD + "flags\t\t: fpu sse avx512f no_avx512_bf16\nbugs\t\t: amx_bf16 avx512_bf16\n"


@pytest.fixture
def cpu(tmp_path, monkeypatch):
    """Sets what Linux says of the CPU."""

    def say(text):
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(precision, "_CPU_INFO", tmp_path / "cpuinfo")

    return say


@pytest.fixture
def gpus(monkeypatch):
    """Sets the compute capabilities of the GPUs."""

    def have(*capabilities):
        monkeypatch.setattr(
            tf.config, "list_physical_devices", lambda kind=None: list(range(len(capabilities)))
        )
        details = lambda gpu: {"compute_capability": capabilities[gpu]} if capabilities[gpu] else {}  # noqa: E731
        monkeypatch.setattr(tf.config.experimental, "get_device_details", details)

    return have


def test_named_formats_are_what_they_say_anywhere(cpu):
    for text in (XEON, OLDER):
        cpu(text)
        assert policy("float32", ONE) == "float32"
        assert policy("bfloat16", ONE) == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (XEON, True),
        (EPYC, True),
        (WITHOUT_AMX, False),
        (OLDER, False),
        ("flags\t: avx512_bf16", False),
        ("", False),
        ("Features: asimd", False),
    ],
)
def test_auto_on_a_cpu_is_bfloat16_where_it_multiplies_it(cpu, text, expected):
    cpu(text)
    assert cpu_multiplies_bfloat16() == expected
    assert policy("auto", ONE) == ("mixed_bfloat16" if expected else "float32")


def test_without_a_word_of_linux_it_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr(precision, "_CPU_INFO", tmp_path / "none")
    assert not cpu_multiplies_bfloat16()


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ([(8, 0)], True),
        ([(9, 0), (8, 6)], True),
        ([(7, 5)], False),
        ([(8, 0), (7, 0)], False),
        ([None], False),
    ],
)
def test_auto_on_gpus_is_bfloat16_where_all_are_of_ampere_or_later(cpu, gpus, capabilities, expected):
    cpu(OLDER if expected else XEON)  # which must not matter
    gpus(*capabilities)
    assert policy("auto", ONE) == ("mixed_bfloat16" if expected else "float32")


def test_auto_on_the_cpu_of_a_machine_with_gpus_asks_the_cpu(cpu, gpus):
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    gpus((8, 0))
    cpu(OLDER)
    assert policy("auto", strategy) == "float32"
    cpu(XEON)
    gpus((7, 0))
    assert policy("auto", strategy) == "mixed_bfloat16"


def test_auto_on_a_tpu_is_bfloat16(monkeypatch):
    monkeypatch.setattr(precision.tf.distribute, "TPUStrategy", types.SimpleNamespace)
    assert policy("auto", types.SimpleNamespace()) == "mixed_bfloat16"
