import collections
import gc
import os

import hypothesis

# There is a worker a core: threads of its own would only wait for one another.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
# What XLA compiles here runs once, so it need not be fast: a quarter of the time.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)

# No deadline: the machine may be busy, and time is measured elsewhere. In CI the same examples every
# time, so that a failure is that of the change; by hand new ones, which is how bugs are found.
hypothesis.settings.register_profile(
    "conveyor", deadline=None, print_blob=True, derandomize=bool(os.environ.get("CI"))
)
hypothesis.settings.load_profile("conveyor")


def pytest_collection_modifyitems(items):
    """Puts files with many slow tests first: what workers begin last had better be short."""
    slow = collections.Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


def pytest_collection_finish():
    """Garbage is not looked for in all that was imported, again and again: a twentieth of the time."""
    gc.freeze()
