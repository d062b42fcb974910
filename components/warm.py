"""Which modules stages want imported ahead of time; stages with the same ones share a template process."""

_OURS = "conveyor.components.experiment"  # every stage's signature and settings; light
# pandas: pyarrow imports it when it makes its first table, which takes 0.4 s
BEAM = (_OURS, "apache_beam", "pyarrow.parquet", "pandas", "PIL.Image", "tensorflow_datasets")
TENSORFLOW = (_OURS, "tensorflow", "keras", "tensorflow_datasets")
