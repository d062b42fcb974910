"""Which modules stages want imported ahead of time; stages with the same ones share a template process."""

_OURS = "conveyor.components.experiment"  # every stage's signature and settings; light
BEAM = (_OURS, "apache_beam", "pyarrow.parquet", "PIL.Image", "tensorflow_datasets")
TENSORFLOW = (_OURS, "tensorflow", "keras", "tensorflow_datasets")
