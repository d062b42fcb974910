"""Pushes in this process: MODEL BASE START; waits until the file START is there, prints the version."""

import pathlib
import sys
import time

from conveyor.components.artifacts import Model
from conveyor.components.pusher.push import push

if __name__ == "__main__":
    path, base, start = sys.argv[1:]
    model = Model.load(path)
    print("ready", flush=True)
    while not pathlib.Path(start).exists():
        time.sleep(0.001)
    print(push(model, base, {}, 100)["version"])
