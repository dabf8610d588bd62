"""Event files as TensorBoard reads them: values with a description, on one axis of environment steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from torch.utils.tensorboard import SummaryWriter, summary

from metarl.runs.files import EVENTS
from metarl.training.tensorboard.settings import Cell

_SUMMARIES: Any = summary


class EventWriter:
    """Writes a new event file into a folder; what others there have from a step on is hidden.

    Args:
        purge_step: the first step that is hidden; None for none.
        describe: tag -> its description, in Markdown.
    """

    def __init__(self, folder: Path, purge_step: int | None, describe: Callable[[str], str]) -> None:
        self._writer: Any = SummaryWriter(str(folder), purge_step=purge_step)
        self._describe = describe
        self._described: set[str] = set()

    def scalar(self, tag: str, value: float, step: int) -> None:
        """A point of a chart."""
        self._add(Summary.Value(tag=tag, simple_value=value), "scalars", step)

    def image(self, tag: str, encoded: bytes, size: tuple[int, int], step: int) -> None:
        """A picture, encoded as PNG or GIF; its width and height in pixels."""
        width, height = size
        image = Summary.Image(encoded_image_string=encoded, width=width, height=height, colorspace=3)
        self._add(Summary.Value(tag=tag, image=image), "images", step)

    def text(self, tag: str, markdown: str, step: int) -> None:
        """A text, in Markdown."""
        value = _SUMMARIES.text(tag, markdown).value[0]
        value.tag = tag
        value.metadata.summary_description = self._describe(tag)
        self._write([Summary(value=[value])], step)

    def layout(self, layout: Layout) -> None:
        """What the page Custom Scalars shows; the last one that is written counts."""
        page = _SUMMARIES.custom_scalars({})
        page.value[0].tensor.string_val[0] = layout.SerializeToString()
        self._write([page], None)

    def settings(self, values: dict[str, Cell], others: dict[str, Cell], metrics: Iterable[str]) -> None:
        """A row of the page HParams: the values, and the last points of the charts with these tags.

        Args:
            others: further columns, by values of their types: the page has those that one of its runs names.
        """
        shown = dict.fromkeys(metrics, math.nan)
        experiment, *_ = _SUMMARIES.hparams({**others, **values}, shown)
        _, start, _ = _SUMMARIES.hparams(values, shown)
        self._write([experiment, start], None)

    def end_settings(self) -> None:
        """Marks the row as that of a run which came to its end."""
        *_, end = _SUMMARIES.hparams({}, {})
        self._write([end], None)

    def flush(self) -> None:
        """Brings everything to the disk."""
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def _add(self, value: Summary.Value, plugin: str, step: int) -> None:
        if value.tag not in self._described:
            self._described.add(value.tag)
            data = SummaryMetadata.PluginData(plugin_name=plugin)
            metadata = SummaryMetadata(plugin_data=data, summary_description=self._describe(value.tag))
            value.metadata.CopyFrom(metadata)
        self._write([Summary(value=[value])], step)

    def _write(self, summaries: Iterable[Any], step: int | None) -> None:
        for one in summaries:
            self._writer.file_writer.add_summary(one, step)


def has_events(folder: Path) -> bool:
    """Whether there are event files in the folder."""
    return any(folder.glob(EVENTS))
