"""Policy files: the parameters of a policy, and what the file says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from metarl.errors import RunError
from metarl.math.parameters import Parameters
from metarl.policies.policy import Carry
from metarl.runs.description import PolicyDescription, read_description
from metarl.runs.tensor_files import in_order, order_of, read_tensors, write_tensors

_CONFIG_DIGEST, _DESCRIPTION = "config_digest", "description"
_CARRY = "carry/"


@dataclass(frozen=True)
class PolicyFile:
    """A policy, as its file holds it.

    Args:
        parameters: in their order.
        config_digest: of the config of the run that it is of; None of a policy saved alone, and of files
            of version 0.1.0, which do not say.
        description: None of files that do not describe themselves, before version 0.2.0.
        carry: of a policy with memory that is adapted to a task.
    """

    parameters: Parameters
    config_digest: str | None = None
    description: PolicyDescription | None = None
    carry: Carry = field(default_factory=dict)


def write_policy(path: Path, policy: PolicyFile) -> None:
    """Writes the file in one step."""
    metadata = metadata_of(policy.parameters, policy.config_digest, policy.description)
    carry = {_CARRY + name: value for name, value in policy.carry.items()}
    write_tensors(path, {**policy.parameters, **carry}, metadata)


def read_policy(path: Path) -> PolicyFile:
    """Reads the file.

    Raises:
        RunError: it is missing, foreign or damaged.
    """
    tensors, metadata = read_tensors(path)
    try:
        parameters = in_order(tensors, metadata)
    except KeyError as error:
        raise RunError(f"{path}: expected a metarl policy, found no {error}") from error
    carry = {name.removeprefix(_CARRY): value for name, value in tensors.items() if name.startswith(_CARRY)}
    return PolicyFile(parameters, *ties_of(path, metadata), carry)


def metadata_of(
    parameters: Parameters, config_digest: str | None, description: PolicyDescription | None
) -> dict[str, str]:
    """What a file of parameters says beside them."""
    metadata = order_of(parameters)
    if config_digest is not None:
        metadata[_CONFIG_DIGEST] = config_digest
    if description is not None:
        metadata[_DESCRIPTION] = description.to_json()
    return metadata


def ties_of(path: Path, metadata: Mapping[str, str]) -> tuple[str | None, PolicyDescription | None]:
    """The config's digest and the description, where the file has them.

    Raises:
        RunError: a description that cannot be read.
    """
    text = metadata.get(_DESCRIPTION)
    try:
        description = None if text is None else read_description(text)
    except RunError as error:
        raise RunError(f"{path}: {error}") from error
    return metadata.get(_CONFIG_DIGEST), description
