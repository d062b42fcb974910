import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))  # one module of tests uses the documents of another
