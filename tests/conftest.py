import os

import hypothesis

# No deadline: the machine may be busy, and time is measured elsewhere. In CI the same examples every
# time, so that a failure is that of the change; by hand new ones, which is how bugs are found.
hypothesis.settings.register_profile(
    "conveyor", deadline=None, print_blob=True, derandomize=bool(os.environ.get("CI"))
)
hypothesis.settings.load_profile("conveyor")
