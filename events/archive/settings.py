"""The settings of the archive."""

from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta

from events.limits import Limited, is_http_url


class ArchiveSettings(Limited, frozen=True):
    """Where the archive is stored, and how it is cut into segments.

    Attributes:
        location: A folder, or `s3://BUCKET/PREFIX`; none: nothing is archived.
        endpoint_url: URL of the S3-compatible storage, if that is not AWS; with `http://` the
            connection is not encrypted. Keys come from the usual `AWS_...` variables.
        region: The bucket's region; without it AWS's own variables count, or what others expect.
        margin_s: Entries younger than this are left for the next run, so that segments are large.
        segment_entries_max: Entries of one segment, at most.
        segment_bytes_max: Bytes before compression at which a segment is closed; one segment is
            held in memory while it is written or read.
    """

    location: str | None = None
    endpoint_url: str | None = None
    region: str | None = None
    margin_s: Annotated[float, Meta(ge=0, le=86_400)] = 60.0
    segment_entries_max: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000
    segment_bytes_max: Annotated[int, Meta(ge=1_024, le=1_073_741_824)] = 67_108_864

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.endpoint_url is not None:
            _check_endpoint(self.endpoint_url)
        if self.location is not None:
            parts = urlsplit(self.location)
            if "://" in self.location and (parts.scheme != "s3" or not parts.netloc):
                raise ValueError(
                    f"location {parts.scheme}://{parts.hostname or ''} cannot be used;"
                    " a folder and s3://BUCKET/PREFIX can"
                )
            if "://" in self.location and "@" in parts.netloc:
                raise ValueError("location has a login in it; keys come from the AWS_... variables")
            if not self.location:
                raise ValueError("location is empty; a folder or s3://BUCKET/PREFIX is needed")

    @property
    def is_bucket(self) -> bool:
        """Whether the location is in S3-compatible storage."""
        return self.location is not None and self.location.startswith("s3://")


def _check_endpoint(url: str) -> None:
    if not is_http_url(url) or "@" in url:
        raise ValueError(
            "endpoint_url cannot be used: http://HOST:PORT and https://HOST:PORT can, without"
            " a login"
        )
