"""The stage that brings data in."""

import pathlib

from conveyor.components.artifacts import Examples
from conveyor.components.example_gen.readers.reader import open_source
from conveyor.components.example_gen.settings import ExampleGenSettings
from conveyor.components.warm import BEAM
from conveyor.pipeline.stage import Context, Out, stage


def source_fingerprint(settings: ExampleGenSettings, workspace: pathlib.Path) -> str:
    """Returns a digest of the content of the source."""
    return open_source(settings.source).fingerprint(workspace)


@stage(warm=BEAM, fingerprint=source_fingerprint)
def example_gen(examples: Out[Examples], settings: ExampleGenSettings, context: Context) -> None:
    """Reads images and labels into a TFDS data set; sets aside, with a reason, what cannot be read."""
    del context
    from conveyor.components.example_gen.ingest import ingest

    ingest(examples, settings)
