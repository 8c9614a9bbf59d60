"""What made a file of embeddings, and which others they may be compared with."""

from dataclasses import dataclass
from typing import Literal

from audiorec.errors import SpecMismatchError, StoreError
from audiorec.files.json_files import parse_json
from audiorec.store.schema import MAX_JSON_BYTES, MAX_WIDTH

FORMAT_VERSION = 1
Of = Literal["songs", "users"]
KINDS: dict[Of, str] = {"songs": "song_embeddings", "users": "user_embeddings"}
ID_COLUMNS = {"song_embeddings": "song_id", "user_embeddings": "user_id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingMetadata:
    """What made a file of embeddings.

    Attributes
    ----------
    kind : str
        ``song_embeddings`` or ``user_embeddings``.
    model_id : str
        The model that made it.
    extractor_id : str
        Of the extractor whose features the model read; empty where it read none.
    dimension : int
        Numbers in an embedding.
    space : str
        The model whose embeddings these may be compared with, where that is another one: a
        metric model puts songs where the users of its training stand.
    created_by : str
    format_version : int
    """

    kind: str
    model_id: str
    extractor_id: str
    dimension: int
    space: str = ""
    created_by: str = ""
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if self.format_version != FORMAT_VERSION:
            raise StoreError(
                f"format version {self.format_version}, this audiorec reads {FORMAT_VERSION}; "
                "a newer audiorec may read it"
            )
        if self.kind not in ID_COLUMNS:
            raise StoreError(f"holds {self.kind}, not embeddings of songs or users")
        if not (isinstance(self.model_id, str) and self.model_id):
            raise StoreError("the metadata names no model_id")
        texts = (self.extractor_id, self.space, self.created_by)
        if not all(isinstance(text, str) for text in texts):
            raise StoreError("the metadata's extractor_id, space and created_by must be texts")
        if type(self.dimension) is not int or not 1 <= self.dimension <= MAX_WIDTH:
            raise StoreError(f"dimension must lie in 1..{MAX_WIDTH}, got {self.dimension}")

    @property
    def id_column(self) -> str:
        """``song_id`` or ``user_id``."""
        return ID_COLUMNS[self.kind]

    def check_same_space(self, other: "EmbeddingMetadata", what: str) -> None:
        """Refuse embeddings whose dot products with these would mean nothing.

        Parameters
        ----------
        other : EmbeddingMetadata
        what : str
            Names both files in the message.

        Raises
        ------
        SpecMismatchError
            If the dimensions differ, or the two have no space in common.
        """
        if self.dimension != other.dimension:
            raise SpecMismatchError(
                f"{what}: {self.dimension} numbers against {other.dimension}; "
                "embed both with models of one space"
            )
        if not {self.model_id, self.space} & {other.model_id, other.space} - {""}:
            raise SpecMismatchError(
                f"{what}: made in the spaces of {self.space or self.model_id} and "
                f"{other.space or other.model_id}; embed both with models of one space"
            )

    @classmethod
    def from_json(cls, text: bytes) -> "EmbeddingMetadata":
        """Read what a file holds; keys that this version does not know are passed over.

        Raises
        ------
        StoreError
            If it is not JSON, of a newer format, or of another kind.
        """
        try:
            content = parse_json(text, max_bytes=MAX_JSON_BYTES)
        except ValueError as error:
            raise StoreError(f"the audiorec metadata is not JSON: {error}") from error
        if not isinstance(content, dict):
            raise StoreError("the audiorec metadata is not a JSON object")
        return cls(
            kind=content.get("kind", "something else"),
            model_id=content.get("model_id", ""),
            extractor_id=content.get("extractor_id", ""),
            dimension=content.get("dimension", 0),
            space=content.get("space", ""),
            created_by=content.get("created_by", ""),
            format_version=content.get("format_version", FORMAT_VERSION),
        )
