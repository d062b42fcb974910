"""Damage to data sets: in their files, and in what lies around. Import through sys.path."""

import contextlib
import json
import os
import re
import shutil

from small_images import damage

from conveyor.components.example_gen.readers.names import is_image

ENTITY_BOMB = (
    b"""<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">%s]><annotation><folder>&i;</folder></annotation>"""
    % b"".join(b'<!ENTITY %c "%s">' % (name, b"&%c;" % (name - 1) * 10) for name in range(ord("b"), ord("j")))
)
YAML_BOMB = b"a: &a [x, x]\n" + b"".join(
    b"%c: &%c [*%c, *%c]\n" % (name, name, name - 1, name - 1) for name in range(ord("b"), ord("z"))
)
WHOLE = [
    b"",
    b"\0",
    b"\xff\xfe\0",
    b"\xef\xbb\xbf",
    b"{}",
    b"[]",
    b"null",
    b"[" * 100_000,
    b'{"a":' * 20_000,
    b"<a>" * 50_000,
    ENTITY_BOMB,
    YAML_BOMB,
    b"9" * 10_000,
    b"\n" * 10_000,
    b"0 " * 10_000,
]
NUMBERS = [
    b"0",
    b"-1",
    b"-0.0",
    b"1e400",
    b"-1e308",
    b"NaN",
    b"Infinity",
    b"9" * 400,
    b"1.5",
    b"256",
    b"65536",
]
NUMBERS += [
    b"4294967296",
    b"9223372036854775808",
    b"true",
    b"null",
    b'"1"',
    b"[]",
    b"{}",
    b"",
    b"0x10",
    b"1_0",
]
WORDS = [b"../x", b"/etc/passwd", b"C:\\\\x", b"\\u0000", b"\0", b"..", b".", b"~", b"", b" ", b"a" * 5000]
WORDS += [
    b"\\ud800",
    b"\xff",
    b"cat",
    b"1.png",
    b"images",
    b"train",
    b"\n",
    b"%s",
    b"gs://a/b",
    b"\xe2\x80\xa8",
]


def mutate_text(data, dice):
    """Puts odd numbers and words in place of some."""
    for _ in range(dice.choice((1, 1, 2, 5))):
        odd, pattern = dice.choice(((NUMBERS, rb"-?[0-9][0-9.]*"), (WORDS, rb"[A-Za-z_./][A-Za-z0-9_./]*")))
        found = list(re.finditer(pattern, data))
        if found:
            place = dice.choice(found)
            data = data[: place.start()] + dice.choice(odd) + data[place.end() :]
    return data


ODD = [
    None,
    True,
    -1,
    0,
    1.5,
    float("nan"),
    float("inf"),
    10**400,
    2**63,
    "",
    "../x",
    "a\0",
    "\ud800",
    "1",
    [],
    {},
    [[]],
]
ODD += [
    [1],
    [1] * 5000,
    {"size": [10**9, 10**9], "counts": "0" * 5000},
    {"size": [1, 1], "counts": [1]},
    "_" * 3000,
]


def mutate_json(data, dice):
    """Puts an odd value in place of some value, or twice what is there."""
    try:
        document = node = json.loads(data)
        while True:
            place = dice.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if not isinstance(node[place], dict | list) or not node[place] or dice.random() < 0.15:
                break
            node = node[place]
    except (ValueError, LookupError, TypeError):  # damaged before
        return data
    if isinstance(node, list) and dice.random() < 0.2:
        node.insert(place, node[dice.randrange(len(node))])
    elif dice.random() < 0.1:
        del node[place]
    else:
        node[place] = dice.choice(ODD)
    return json.dumps(document).encode()


def mutate(folder, dice):
    """Damages one file of a folder, or what there is around it."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    if not paths:
        return
    path, other = dice.choice(paths), dice.choice(paths)
    # Images are most of the files, but not most of what can go wrong.
    if is_image(str(path)) and dice.random() < 0.6:
        path = dice.choice([path for path in paths if not is_image(str(path))] or paths)
    kind = dice.choice(
        ("bytes", "bytes", "text", "text", "text", "whole", "swap", "gone", "link", "name", "folder")
    )
    if kind == "bytes":
        path.write_bytes(damage(path.read_bytes() or b"x", dice))
    elif kind == "text" and path.stat().st_size < 1 << 16:
        change = mutate_json if path.suffix == ".json" and dice.random() < 0.8 else mutate_text
        path.write_bytes(change(path.read_bytes(), dice))
    elif kind == "whole":
        path.write_bytes(dice.choice(WHOLE))
    elif kind == "swap":
        one, two = path.read_bytes(), other.read_bytes()
        path.write_bytes(two)
        other.write_bytes(one)
    elif kind == "gone":
        path.unlink()
    elif kind == "link":
        target = dice.choice((path, path.parent, folder, folder.parent, other, folder / "nowhere"))
        path.unlink()
        path.symlink_to(target)
    elif kind == "name":
        odd = dice.choice(
            ("\u2028", " ", ".x", os.fsdecode(b"\xe9"), "[*]?", "-", "%00", "train", "..x", "A" * 200)
        )
        with contextlib.suppress(OSError):
            path.rename(path.with_name(dice.choice((odd + path.name, path.stem + odd + path.suffix))))
    elif kind == "folder":
        change_folder(path, folder, dice)


def change_folder(path, folder, dice):
    kind = dice.choice(("in place of a file", "gone", "link inside", "pipe", "renamed"))
    if kind == "in place of a file":
        path.unlink()
        path.mkdir()
    elif kind == "gone" and path.parent != folder:
        shutil.rmtree(path.parent)
    elif kind == "link inside":
        target = dice.choice((folder, path.parent, path.parent.parent, folder / "a"))
        with contextlib.suppress(FileExistsError):
            (path.parent / dice.choice(("a", "images", "train", "b.png"))).symlink_to(target)
    elif kind == "pipe":
        path.unlink()
        os.mkfifo(path)
    elif kind == "renamed" and path.parent != folder:
        with contextlib.suppress(OSError):
            path.parent.rename(path.parent.with_name(dice.choice(("Train", "test", "x", ".y"))))
