"""Reads a model definition from a folder behind Backend.AI's storage proxy.

The URL of a folder is that of the proxy's manager-facing API, with the folder in its query:
`http://HOST:PORT?volume=VOLUME&vfid=VFID`, and `&path=PATH` for a file or a folder within it. Two
calls are made, each a POST of `{"volume", "vfid", "relpath"}` with the secret in the header
`X-BackendAI-Storage-Auth-Token`: `/folder/file/list`, which answers `{"items": [{"name",
"type"}]}`, and `/folder/file/fetch`, which answers the file.
"""

import os
import ssl
from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import aiohttp
import anyio
import msgspec

from events.limits import is_http_url
from events.plain_yaml import BYTES_MAX
from producers.errors import (
    InvalidModelFolderError,
    ModelFolderError,
    ModelFolderGoneError,
    ModelFolderNotFoundError,
    ModelFolderUnreachableError,
)
from producers.model_definitions.model_definition_settings import ModelDefinitionSettings
from producers.model_definitions.model_folder import FILE_NAMES, ModelFile

TOKEN_HEADER = "X-BackendAI-Storage-Auth-Token"  # noqa: S105 - the header's name

LIST_BYTES_MAX = 8 * 1024 * 1024
"""Maximum bytes of a folder's list: some 40,000 files."""

_SUFFIXES = (".yaml", ".yml")
_REASON_BYTES_MAX = 1_024
_NO_ENTRY = 2  # ENOENT


class StorageFolder(msgspec.Struct, frozen=True):
    """A folder behind a storage proxy.

    Attributes:
        api: The URL of the proxy's manager-facing API.
        volume: The volume that the folder lies on.
        vfid: The folder's id, as the storage proxy knows it: `user:UUID/HEX`, say.
        path: A file or a folder within it.
    """

    api: str
    volume: str
    vfid: str
    path: str = "."

    def within(self, path: str) -> Mapping[str, str]:
        """Return the body of a call about *path* in the folder."""
        return {"volume": self.volume, "vfid": self.vfid, "relpath": path}


class _FolderItem(msgspec.Struct):
    name: str
    type: str = "FILE"


class _FolderList(msgspec.Struct):
    items: list[_FolderItem]


class _Reason(msgspec.Struct):
    msg: str = ""
    errno: int | None = None


def storage_folder(url: str) -> StorageFolder:
    """Read the URL of a folder.

    Raises:
        InvalidModelFolderError: It lacks a part, has one too many, or leads out of the folder.
    """
    parts = urlsplit(url) if is_http_url(url) else None
    if parts is None or "@" in parts.netloc or parts.fragment:
        raise InvalidModelFolderError(
            "the URL of a model folder is http://HOST:PORT?volume=VOLUME&vfid=VFID, without a login"
        )
    given = parse_qsl(parts.query, keep_blank_values=True)
    fields = dict(given)
    unknown = sorted(fields.keys() - {"volume", "vfid", "path"})
    if unknown or len(fields) < len(given) or not (fields.get("volume") and fields.get("vfid")):
        raise InvalidModelFolderError(
            f"the query of {url} must have volume and vfid, may have path, each once, and no more"
        )
    path = fields.get("path") or "."
    if path.startswith("/") or ".." in path.split("/"):
        raise InvalidModelFolderError(f"path: {path!r} leads out of the folder")
    api = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    return StorageFolder(api, fields["volume"], fields["vfid"], path.rstrip("/"))


async def fetch_model_file(url: str, settings: ModelDefinitionSettings) -> ModelFile:
    """Fetch the model definition of the folder at *url*; redirects are not followed.

    Raises:
        InvalidModelFolderError: The URL is none of a folder.
        ModelFolderGoneError: The folder was deleted.
        ModelFolderNotFoundError: There is no such folder, or no model definition in it.
        ModelFolderUnreachableError: The proxy did not answer in time.
        ModelFolderError: It refused, or answered what is not understood or too large.
    """
    folder = storage_folder(url)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_timeout_s)
    headers = {TOKEN_HEADER: settings.storage_proxy_token, "Accept-Encoding": "identity"}
    try:
        with anyio.fail_after(settings.timeout_s):
            async with aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=_trusted(settings.storage_proxy_ca_file)),
                timeout=timeout,
                headers=headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            ) as session:
                return await _fetch(session, folder)
    except TimeoutError:
        raise ModelFolderUnreachableError(
            f"{folder.api}: the storage proxy did not answer within {settings.timeout_s:g} s"
        ) from None
    except aiohttp.ClientSSLError:
        raise ModelFolderUnreachableError(
            f"{folder.api}: TLS with the storage proxy is not possible, or its certificate is not"
            " trusted: see model_definition.storage_proxy_ca_file"
        ) from None
    except (aiohttp.ClientError, OSError) as error:
        number = error.errno if isinstance(error, OSError) else None
        why = os.strerror(number).lower() if number and number > 0 else type(error).__name__
        raise ModelFolderUnreachableError(
            f"{folder.api}: no answer from the storage proxy: {why}"
        ) from None


def _trusted(ca_file: str) -> ssl.SSLContext | bool:
    """Return whose signature a certificate needs, as aiohttp is told."""
    if not ca_file:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:  # what OpenSSL says of a file without certificates is one, too
        why = (error.strerror or str(error)).lower()
        raise ModelFolderError(f"model_definition.storage_proxy_ca_file {ca_file}: {why}") from None


async def _fetch(session: aiohttp.ClientSession, folder: StorageFolder) -> ModelFile:
    path = folder.path
    if not path.endswith(_SUFFIXES):
        path = await _find(session, folder)
    source = f"{folder.api} {folder.vfid}/{path}"
    return ModelFile(source, await _call(session, folder, "fetch", path, BYTES_MAX))


async def _find(session: aiohttp.ClientSession, folder: StorageFolder) -> str:
    """Return the path of the model definition, as the folder's list names it."""
    raw = await _call(session, folder, "list", folder.path, LIST_BYTES_MAX)
    if len(raw) > LIST_BYTES_MAX:
        raise ModelFolderError(
            f"{folder.vfid}: its list has more than {LIST_BYTES_MAX} bytes, which is the limit;"
            " name the model definition with &path="
        )
    try:
        items = msgspec.json.decode(raw, type=_FolderList).items
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ModelFolderError(f"{folder.api}: the list is not understood: {error}") from None
    names = {item.name for item in items if item.type != "DIRECTORY"}
    for name in FILE_NAMES:
        if name in names:
            return name if folder.path == "." else f"{folder.path}/{name}"
    place = folder.vfid if folder.path == "." else f"{folder.vfid}/{folder.path}"
    raise ModelFolderNotFoundError(f"{place}: there is no {' or '.join(FILE_NAMES)} here")


async def _call(
    session: aiohttp.ClientSession, folder: StorageFolder, call: str, path: str, bytes_max: int
) -> bytes:
    """Return the first *bytes_max* + 1 bytes of the answer."""
    url = f"{folder.api}/folder/file/{call}"
    async with session.post(url, json=folder.within(path), allow_redirects=False) as response:
        is_answer = response.status == 200
        content = await _read(response, bytes_max if is_answer else _REASON_BYTES_MAX)
        if not is_answer:
            _refuse(folder, path, response.status, content)
        return content


async def _read(response: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    found = bytearray()
    while len(found) <= bytes_max:
        part = await response.content.read(bytes_max + 1 - len(found))
        if not part:
            break
        found += part
    return bytes(found)


def _refuse(folder: StorageFolder, path: str, status: int, content: bytes) -> NoReturn:
    try:
        reason = msgspec.json.decode(content, type=_Reason)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        reason = _Reason()
    place = f"{folder.volume}, {folder.vfid}/{path}"
    if status == 410:
        raise ModelFolderGoneError(f"{place}: the folder was deleted (HTTP 410)")
    if status == 404 or (status == 400 and reason.errno == _NO_ENTRY):
        raise ModelFolderNotFoundError(f"{place}: there is no such folder or file (HTTP {status})")
    if status in {401, 403}:
        raise ModelFolderError(
            f"{folder.api}: the storage proxy refused the token (HTTP {status}); set"
            " model_definition.storage_proxy_token or"
            " ROUTESTREAM_MODEL_DEFINITION_STORAGE_PROXY_TOKEN"
        )
    why = f": {reason.msg}" if reason.msg else ""
    raise ModelFolderError(f"{place}: the storage proxy answered HTTP {status}{why}")
