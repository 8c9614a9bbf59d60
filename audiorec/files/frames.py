"""Tables for pandas and polars, which are imported when somebody asks for one.

    columns, or an Arrow table ──pandas_frame──▶ pandas.DataFrame
    an Arrow table             ──polars_frame──▶ polars.DataFrame

Nothing of audiorec's own reads them.
"""

from collections.abc import Mapping
from typing import Any

from audiorec.errors import MissingExtraError


def pandas_frame(columns: Mapping[str, Any], *, index: tuple[str, Any] | None = None) -> Any:
    """Return a `pandas.DataFrame` of named columns.

    Parameters
    ----------
    columns : mapping of str to sequence
    index : tuple of str and sequence, optional
        The name and the values of the index; by default the rows are counted from 0.

    Raises
    ------
    MissingExtraError
        Without pandas.
    """
    pandas = import_pandas()
    if index is None:
        return pandas.DataFrame(dict(columns))
    return pandas.DataFrame(dict(columns), index=pandas.Index(index[1], name=index[0]))


def arrow_to_pandas(table: Any) -> Any:
    """Return an Arrow table as a `pandas.DataFrame`; without pandas a `MissingExtraError`."""
    import_pandas()
    return table.to_pandas()


def arrow_to_polars(table: Any) -> Any:
    """Return an Arrow table as a `polars.DataFrame`; without polars a `MissingExtraError`."""
    try:
        import polars
    except ImportError as error:
        raise MissingExtraError("to_polars()", "polars", str(error)) from error
    return polars.from_arrow(table)


def import_pandas() -> Any:
    """Return pandas; a `MissingExtraError` where it is not installed."""
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("a DataFrame", "pandas", str(error)) from error
    return pandas
