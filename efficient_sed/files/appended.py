"""A text behind the content of a file, in a ZIP archive, for formats whose readers stop at their own end.

TensorFlow Lite's metadata carry their associated files so. Anything that reads ZIP archives finds the text.
"""

from __future__ import annotations

import io
import zipfile

DATE = (1980, 1, 1, 0, 0, 0)  # of the archive's entries, so that one text gives the same bytes at any time


def append_text(content: bytes, name: str, text: str) -> bytes:
    """The content with a text behind it, in place of one that was there.

    Args:
        content: With an archive at its end, or none.
        name: Of the text in the archive.
        text: Any.
    """
    file = io.BytesIO()
    file.write(without_text(content))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name, DATE), text)
    return file.getvalue()


def without_text(content: bytes) -> bytes:
    """The content without an archive at its end."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return content[: min((entry.header_offset for entry in archive.infolist()), default=len(content))]
    except zipfile.BadZipFile:
        return content


def appended_text(content: bytes, name: str) -> str | None:
    """The text behind a content; None if there is none of this name, or it is damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return archive.read(name).decode()
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError, NotImplementedError):
        return None
