"""The stages, the experiment config that composes them, and what they share."""

if __name__ != "conveyor.components":
    raise ImportError("this folder is a part of conveyor: import conveyor.components, not components")
