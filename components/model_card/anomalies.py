"""What the checks of the data found: errors first, each with its pictures."""

import typing

from conveyor.components.model_card.pictures import Album
from conveyor.components.model_card.results import Results

_SHOWN = 100  # anomalies of one severity
_EXAMPLES = 5  # examples named of each


def anomalies_section(results: Results, album: Album) -> list[dict[str, typing.Any]] | None:
    """Returns {`severity`, `count`, `anomalies`} for errors and warnings, as far as there are any.

    An anomaly has `split`, `short`, `long`, `examples`, `more` (examples not named), `pictures`, and
    `left` (pictures that found no room).

    Args:
        results: What the run produced.
        album: Loads the pictures; those of errors first.

    Returns:
        None where the data was not checked.
    """
    if results.anomalies is None:
        return None
    folder, groups = results.anomalies.path, []
    document = results.anomalies.read()
    for severity in ("error", "warning"):
        found = [anomaly for anomaly in document if anomaly["severity"] == severity]
        if found:
            shown = [
                _anomaly(anomaly, *album.load(anomaly.get("pictures", []), folder))
                for anomaly in found[:_SHOWN]
            ]
            groups.append({"severity": severity, "count": len(found), "anomalies": shown})
    return groups


def _anomaly(
    anomaly: dict[str, typing.Any], pictures: list[dict[str, typing.Any]], left: int
) -> dict[str, typing.Any]:
    examples = [str(example) for example in anomaly["examples"]]
    return {
        **anomaly,
        "examples": examples[:_EXAMPLES],
        "more": len(examples[_EXAMPLES:]),
        "pictures": pictures,
        "left": left,
    }
