"""Which modules stages want imported ahead of time; stages with the same ones share a template process."""

BEAM = ("apache_beam", "pyarrow.parquet", "tensorflow_datasets")
TENSORFLOW = ("tensorflow", "keras", "tensorflow_datasets")
