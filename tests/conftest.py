import hypothesis

# No deadline: the machine may be busy, and time is measured elsewhere.
hypothesis.settings.register_profile("conveyor", deadline=None, print_blob=True)
hypothesis.settings.load_profile("conveyor")
