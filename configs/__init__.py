"""Shipped experiment configs, one YAML file each."""

if __name__ != "conveyor.configs":
    raise ImportError("this folder is a part of conveyor: import conveyor.configs, not configs")
