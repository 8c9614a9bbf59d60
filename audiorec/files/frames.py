"""Convert tables to pandas and polars, which are imported on first use.

    columns, or an Arrow table ──pandas_frame──▶ pandas.DataFrame
    an Arrow table             ──polars_frame──▶ polars.DataFrame

audiorec itself does not use the results.
"""

from collections.abc import Mapping
from typing import Any

from audiorec.errors import MissingExtraError


def pandas_frame(columns: Mapping[str, Any], *, index: tuple[str, Any] | None = None) -> Any:
    """Build a `pandas.DataFrame` from named columns.

    Parameters
    ----------
    columns : mapping of str to sequence
    index : tuple of str and sequence, optional
        Name and values of the index; by default rows are numbered from 0.

    Raises
    ------
    MissingExtraError
        If pandas is not installed.
    """
    pandas = import_pandas()
    if index is None:
        return pandas.DataFrame(dict(columns))
    return pandas.DataFrame(dict(columns), index=pandas.Index(index[1], name=index[0]))


def arrow_to_pandas(table: Any) -> Any:
    """Convert an Arrow table to a `pandas.DataFrame`; `MissingExtraError` without pandas."""
    import_pandas()
    return table.to_pandas()


def arrow_to_polars(table: Any) -> Any:
    """Convert an Arrow table to a `polars.DataFrame`; `MissingExtraError` without polars."""
    try:
        import polars
    except ImportError as error:
        raise MissingExtraError("to_polars()", "polars", str(error)) from error
    return polars.from_arrow(table)


def import_pandas() -> Any:
    """Import and return pandas; raise `MissingExtraError` if it is not installed."""
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("a DataFrame", "pandas", str(error)) from error
    return pandas
