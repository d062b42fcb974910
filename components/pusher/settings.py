"""Settings of pusher."""

import pydantic

from conveyor.pipeline.config import Settings


class PusherSettings(Settings):
    """Where a blessed model goes."""

    to: str = "{workspace}/serving/{name}"
    """Base directory, local or gs:// or s3://; versions are its integer sub-directories.
    {workspace} and {name} (of the config) are filled in."""
    golden: pydantic.NonNegativeInt = 32
    """Images of the evaluated split that the version before is asked about too, to tell what changes."""
    keep: pydantic.PositiveInt = 10
    """Versions to leave, the newest; older ones are removed, unless something else put them there."""
