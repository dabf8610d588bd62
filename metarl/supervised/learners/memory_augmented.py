"""Memory-augmented networks (Santoro et al. 2016): an LSTM that binds labels to images in an external memory.

The support is seen in turn, every image with the label of the one before, or with its own; then each query.

r_t   = w^r_t M_t,  w^r_t = softmax_i s cosine(k_t, M_t(i)), s = 1 in the paper        (eq. 2, 3 and 4)
w^w_t = g w^r_{t-1} + (1 - g) w^lu_{t-1},  g = sigmoid(alpha)                          (eq. 7)
w^u_t = gamma w^u_{t-1} + w^r_t + w^w_t, whose least is least recently used            (eq. 5 and 6)
M_t(i) = M_{t-1}(i) + w^w_t(i) k_t, the least used slot emptied before                 (eq. 8)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jsonargparse.typing import ClosedUnitInterval, PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn.functional import linear, normalize

from metarl.compute.task_map import TaskMap
from metarl.math.parameters import Parameters
from metarl.supervised.examples import Examples
from metarl.supervised.learners.comparing import ComparingConfig, comparing, one_hot
from metarl.supervised.learners.learner import Learner
from metarl.supervised.learners.recurrence import cell, initial_cell
from metarl.supervised.model import Model
from metarl.supervised.networks.network import initial_linear


@dataclass(frozen=True)
class MemoryConfig(ComparingConfig):
    """Memory-augmented networks, with one read and write head.

    Args:
        slots: rows of the memory.
        slot_size: numbers of a row.
        controller_size: units of the LSTM.
        usage_decay: gamma, how much of its usage a slot keeps from one example to the next.
        scale: s, of the cosines: with 1 what is read of 32 slots is mostly of those that are not meant.
        delayed_labels: an image comes with the label of the one before, as in the paper, whose sequences ask
            for every image; else with its own, which the controller need not bind over time.
    """

    slots: PositiveInt = 32
    slot_size: PositiveInt = 40
    controller_size: PositiveInt = 100
    usage_decay: ClosedUnitInterval = 0.95
    scale: PositiveFloat = 1.0
    delayed_labels: bool = True


class Seen(NamedTuple):
    """What is carried from one example to the next, of one sequence.

    Args:
        hidden, cell: of the controller, [unit].
        memory: [slot, number].
        read: what was read last, [number].
        reading, usage: weights, [slot].
    """

    hidden: Tensor
    cell: Tensor
    memory: Tensor
    read: Tensor
    reading: Tensor
    usage: Tensor


class Access(NamedTuple):
    """gamma and s of the equations."""

    decay: float
    scale: float


def memory_augmented(model: Model, config: MemoryConfig, task_map: TaskMap) -> Learner:
    """The learner of controller and body that makes queries' labels likely."""
    model.check_classifies("memory_augmented")
    network, units, numbers = model.network, int(config.controller_size), int(config.slot_size)
    ways, access = network.outputs, Access(float(config.usage_decay), float(config.scale))

    def initial_parameters(generator: torch.Generator) -> Parameters:
        inputs = network.feature_size + ways + units + numbers
        parameters = {**network.body(generator), **initial_cell("controller", inputs, units, generator)}
        for name, sizes in {"key": (units, numbers), "answer": (units + numbers, ways)}.items():
            weight, bias = initial_linear(*sizes, generator)
            parameters |= {f"{name}.weight": weight, f"{name}.bias": bias}
        return {**parameters, "gate": torch.zeros(())}

    def compare(parameters: Parameters, support: Examples, x: Tensor) -> Tensor:
        known = network.features(parameters, support.x, None)
        asked = network.features_beside(parameters, support.x, x)
        labels = one_hot(support.y, ways, known)
        seen, unknown = beginning(known, units, int(config.slots), numbers), torch.zeros_like(labels[:1])
        shown, last_shown = labels, unknown[0]
        if config.delayed_labels:
            shown, last_shown = torch.cat([unknown, labels[:-1]]), labels[-1]
        for feature, label in zip(known.unbind(0), shown.unbind(0), strict=True):
            seen = look(parameters, seen, torch.cat([feature, label]), access)

        def answer(feature: Tensor) -> Tensor:
            last = look(parameters, seen, torch.cat([feature, last_shown]), access)
            both = torch.cat([last.hidden, last.read])
            return linear(both, parameters["answer.weight"], parameters["answer.bias"])

        found: Tensor = torch.vmap(answer)(asked)
        return found

    return comparing(model, initial_parameters, compare, config, task_map)


def beginning(like: Tensor, units: int, slots: int, numbers: int) -> Seen:
    """Before the first example: the memory holds next to nothing."""
    hidden, memory = like.new_zeros(units), like.new_full((slots, numbers), 1e-6)
    weights = like.new_zeros(slots)
    return Seen(hidden, hidden, memory, like.new_zeros(numbers), weights, weights)


def look(parameters: Parameters, seen: Seen, inputs: Tensor, access: Access) -> Seen:
    """After one more example: written to the memory, and read from it."""
    fed = torch.cat([inputs, seen.hidden, seen.read])
    hidden, memory_cell = cell(parameters, "controller", fed, seen.cell)
    key = linear(hidden, parameters["key.weight"], parameters["key.bias"]).tanh()
    least = least_used(seen.usage)
    share = parameters["gate"].sigmoid()
    writing = share * seen.reading + (1 - share) * least
    memory = seen.memory * (1 - least).unsqueeze(-1) + writing.unsqueeze(-1) * key
    cosines = normalize(memory, dim=-1, eps=1e-6) @ normalize(key, dim=-1, eps=1e-6)
    reading = (access.scale * cosines).softmax(-1)
    usage = access.decay * seen.usage + reading + writing
    return Seen(hidden, memory_cell, memory, reading @ memory, reading, usage)


def least_used(usage: Tensor) -> Tensor:
    """1 for the first of the least used slots, 0 for the others; [slot]."""
    slots = torch.arange(len(usage), device=usage.device)
    return (slots == usage.argmin()).to(usage.dtype)
