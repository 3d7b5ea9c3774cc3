"""What is kept beside shards, in PREFIX.json: which pictures they are of, and how large each was written.

A writing that was stopped goes on by it, and a shard that was cut off since is known by it.
"""

import json
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dense_labels import files

_SHARD = re.compile(r"(.*)-\d{5}-of-\d{5}\.tfrecord", re.DOTALL)


def path_of(prefix: str | os.PathLike) -> str:
    """Returns the path of the journal of a writing."""
    return f"{os.fspath(prefix)}.json"


def read(path: str, content: bytes) -> dict[str, Any]:
    """Returns what a journal holds, of which the plan is "" where somebody has changed it.

    Args:
      path: of the file, for messages.
      content: of the file, as the function `content` returns it; earlier versions wrote no sizes, of which none are
        returned then.

    Raises:
      ValueError: if it is no journal.
    """
    try:
        values, intact = files.unsealed(json.loads(content))
        ours = {"plan", "bad"} <= values.keys()
    except (AttributeError, ValueError):
        ours = False
    if not ours:
        raise ValueError(f"{path} is in the way, and was not written here; write to another place, or move it")
    values = {"sizes": {}, **values}
    return values if intact else {**values, "plan": ""}


def content(plan: str, bad: Mapping[str, Mapping[str, str]], sizes: Mapping[str, Sequence[int]], **more: int) -> bytes:
    """Returns the content of a journal.

    Args:
      plan: what tells this writing from others.
      bad: number of each shard that is written -> name of each picture that is not in it -> why it cannot be read.
      sizes: name of the file of each such shard -> how many bytes and how many records it has.
      **more: what else it is to hold.
    """
    return json.dumps(files.sealed({"plan": plan, "bad": bad, "sizes": sizes, **more}), indent=1).encode()


def sizes_of(paths: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Reads how large shards were when they were written.

    Args:
      paths: of shards, by whatever program.

    Returns:
      Path of each shard of which a journal beside it tells -> how many bytes and how many records it had.
    """
    prefixes = {path: found[1] for path in paths if (found := _SHARD.fullmatch(path))}
    told = {prefix: _told(path_of(prefix)) for prefix in set(prefixes.values())}
    names = {path: (told[prefix], os.path.basename(path)) for path, prefix in prefixes.items()}
    return {path: tuple(of[name]) for path, (of, name) in names.items() if name in of}


def _told(path):
    """The sizes that a journal tells of; none where it is not there, was changed, or is no journal."""
    try:
        journal = read(path, pathlib.Path(path).read_bytes())
    except (OSError, ValueError):
        return {}
    return journal["sizes"] if journal["plan"] else {}
