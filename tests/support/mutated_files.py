"""Files with something wrong in them: bytes that changed, and whole files of wrong contents."""

from __future__ import annotations

import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import torch

from metarl.runs.tensor_files import read_tensors, write_tensors
from tests.support.wrong_values import OBJECTS, YAML

_WORDS = (
    "",
    "0",
    "-1",
    "1",
    "9" * 30,
    "9" * 5000,
    "abc",
    "[]",
    "{}",
    "null",
    "[" * 100_000,
    "a\nb",
    "\ud800",
    "NaN",
)


def damage(path: Path, rng: random.Random) -> None:
    """Changes a file in one of the ways that its kind has."""
    ways = {".safetensors": _other_tensors, ".json": _other_json, ".zip": _other_zip}
    if path.suffix in ways and rng.random() < 0.6:
        ways[path.suffix](path, rng)
    elif path.suffix in (".yaml", ".csv", ".json") and rng.random() < 0.6:
        _other_text(path, rng)
    else:
        path.write_bytes(_other_bytes(path.read_bytes(), rng))


def _other_bytes(data: bytes, rng: random.Random) -> bytes:
    at, to = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    kind = rng.randrange(8)
    if kind < 3:
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 3, 30))):
            changed[rng.randrange(min(len(data), rng.choice((16, 400, len(data)))))] = rng.randrange(256)
        return bytes(changed)
    middle = (b"", bytes(to - at), rng.randbytes(to - at), data[at:to] * 2)[kind % 4]
    return data[:at] if kind == 7 else data[:at] + middle + data[to:]


def _other_text(path: Path, rng: random.Random) -> None:
    lines = path.read_text().split("\n")
    at = rng.randrange(len(lines))
    before, colon, _ = lines[at].partition(":")
    if rng.random() < 0.2:
        lines[at : at + 1] = [lines[at], rng.choice(lines)]
    elif colon and path.suffix == ".yaml":
        lines[at] = f"{before}: {rng.choice(YAML)}"
    else:
        fields = lines[at].split(",")
        fields[rng.randrange(len(fields))] = rng.choice((*_WORDS, *YAML))
        lines[at] = ",".join(fields)
    path.write_bytes("\n".join(lines).encode(errors="surrogatepass"))


def _other_json(path: Path, rng: random.Random) -> None:
    path.write_bytes(_json_with(json.loads(path.read_text()), rng).encode(errors="surrogatepass"))


def _json_with(data: Any, rng: random.Random) -> str:
    """The data with something else at one of their places."""
    places = list(_places(data))
    holder, key = rng.choice(places) if places else ({}, "")
    kind = rng.randrange(4)
    if kind == 0 and isinstance(holder, dict):
        holder.pop(key, None)
    else:
        holder[key] = "a_place"
    word = rng.choice(
        (*_WORDS[:-2], *(_as_json(one) for one in OBJECTS), '{"a": 1, "a": 2}', "1e999", "-0", '"x"')
    )
    return (json.dumps(data) if places else '"a_place"').replace('"a_place"', word)


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value, default=repr)
    except (TypeError, ValueError):
        return "Infinity"


def _places(data: Any) -> Any:
    for key, value in (
        data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    ):
        yield data, key
        yield from _places(value)


def _other_tensors(path: Path, rng: random.Random) -> None:
    """Whole, and with a digest that fits: what only a program that writes such files would make."""
    tensors, metadata = read_tensors(path)
    name = rng.choice([*tensors, "other"])
    value = tensors.pop(name, torch.ones(2))
    kind = rng.randrange(12)
    if kind < 6:
        key = rng.choice([*metadata, "description", "iteration", "parameter_order"])
        if key == "description" and key in metadata:
            metadata[key] = _json_with(json.loads(metadata[key]), rng)
        else:
            metadata[key] = rng.choice(_WORDS[:-2])
        tensors[name] = value
    elif kind < 11:
        changed = (
            value.flatten(),
            value[None],
            value.double(),
            value.long(),
            value * torch.nan,
            value.flatten()[:0],
        )
        tensors[rng.choice((name, name, "another"))] = rng.choice(changed)
    if rng.random() < 0.1:
        metadata.pop(rng.choice([*metadata]), None)
    write_tensors(path, {k: v.contiguous() for k, v in tensors.items()}, metadata)


def _other_zip(path: Path, rng: random.Random) -> None:
    """Members that are others, missing, doubled, or that unpack to more than there was."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = rng.choice(("data", "policy.pth", *members))
    kind = rng.randrange(6)
    if kind == 0:
        members.pop(name)
    elif kind == 1:
        members[name] = _other_bytes(members[name], rng)
    elif kind == 2:
        members["data"] = _json_with(json.loads(members["data"]), rng).encode(errors="surrogatepass")
    elif kind == 3:
        members[name] = bytes(rng.choice((0, 10, 1 << 26)))
    elif kind == 4:
        members["policy.pth"] = _state_of_others(rng)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for member, data in members.items():
            file.writestr(member if kind != 5 or member != name else f"../{member}", data)
    path.write_bytes(buffer.getvalue())


def _state_of_others(rng: random.Random) -> bytes:
    wrong = (3, [1], {"a": 1}, {1: torch.ones(1)}, {"log_std": torch.ones(2)}, None, torch.ones(3), {})
    parts = (
        "mlp_extractor.policy_net.0.weight",
        "mlp_extractor.policy_net.0.bias",
        "action_net.weight",
        "log_std",
    )
    shapes: Any = (torch.ones(2, 2), torch.ones(2), torch.ones(()), torch.ones(2, 2, 2), 3, "a", None)
    one = rng.choice(
        (*wrong, {part: rng.choice(shapes) for part in parts}, {part: torch.ones(2, 2) for part in parts})
    )
    buffer = io.BytesIO()
    torch.save(one, buffer)
    return buffer.getvalue()
