"""Settings that came after recipes had been trained.

While such a setting holds the value that was the only one before, it is left out of what is hashed: a recipe that does not
use it keeps its hash, and a checkpoint its signature. The same rule as in `bench.suites.protocol`, for dataclasses.
"""

from dataclasses import asdict, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Value = TypeVar("Value")
ADDED = "added"


def added(before: Value) -> Value:
    """The default of a setting that older recipes do not have."""
    found: Value = field(default=before, metadata={ADDED: True})
    return found


def settings_of(dataclass: "DataclassInstance") -> dict[str, Any]:
    """Its fields as plain values, without those added later that hold their default."""
    silent = {
        one.name for one in fields(dataclass) if ADDED in one.metadata and getattr(dataclass, one.name) == one.default
    }
    return {name: value for name, value in asdict(dataclass).items() if name not in silent}
