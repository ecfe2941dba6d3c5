"""Parquet files as records, a batch of rows at a time, through pyarrow.

Separate because it is the only binary format, and pyarrow is loaded only for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from weitiao.data.files import File, check_unchanged
from weitiao.data.record import Record
from weitiao.errors import DataError
from weitiao.words import t

_BATCH_ROWS = 1000
MAX_ROW_GROUP_BYTES = 2 * 2**30


def read_parquet(file: File) -> Iterator[Record]:
    """One record for each row, numbered from 1; class numbers of a ``datasets`` export become their names."""
    import pyarrow
    from pyarrow import parquet

    check_unchanged(file)
    try:
        with parquet.ParquetFile(file.path) as table:
            _check_size(table, file)
            names = _class_names(table.schema_arrow.metadata or {})
            number = 0
            for batch in table.iter_batches(batch_size=_BATCH_ROWS):
                for row in batch.to_pylist():
                    number += 1
                    yield Record(f"{file.name}:{number}", _named(row, names))
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            t("{name} is not a whole Parquet file: {reason}", name=file.name, reason=str(error).split("\n")[0]),
            t("fetch or write it again"),
        ) from error
    check_unchanged(file)


def _check_size(table: Any, file: File) -> None:
    """A row group is the unit that Parquet unpacks: one that claims to be huge is refused before it is touched."""
    for index in range(table.metadata.num_row_groups):
        if table.metadata.row_group(index).total_byte_size > MAX_ROW_GROUP_BYTES:
            raise DataError(
                t("{name} has a row group of more than {limit} GB", name=file.name, limit=MAX_ROW_GROUP_BYTES // 2**30),
                t("write it again in smaller groups: parquet.write_table(table, path, row_group_size=10000)"),
            )


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Names of the numbers in each column, as the ``datasets`` library writes them into the schema."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    except (ValueError, AttributeError, RecursionError):
        return {}
    found = {}
    for column, feature in features.items() if isinstance(features, dict) else ():
        if isinstance(feature, dict):
            inner = feature.get("feature", feature)  # a sequence of class numbers, as for tags
            names = inner.get("names") if isinstance(inner, dict) else None
            if isinstance(names, list) and all(isinstance(name, str) for name in names):
                found[column] = names
    return found


def _named(row: dict[str, object], names: Mapping[str, list[str]]) -> dict[str, object]:
    for column, classes in names.items():
        value = row.get(column)
        if isinstance(value, list):
            row[column] = [_name(item, classes) for item in value]
        else:
            row[column] = _name(value, classes)
    return row


def _name(value: object, classes: list[str]) -> object:
    # -1 is how the library marks a row without a label
    if isinstance(value, int):
        return classes[value] if 0 <= value < len(classes) else None
    return value
