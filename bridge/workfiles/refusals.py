"""Why a file of a session is not to be had."""

from __future__ import annotations

from bridge.errors import RequestRefused


class FileRefused(RequestRefused):
    """A file that was asked for cannot be given, or one that was sent cannot be kept."""

    code = "file_refused"


class NoSuchFile(FileRefused):
    """There is no such file in the folder."""

    code = "no_such_file"


class OutsideFolder(FileRefused):
    """The path leads out of the session's folder."""

    code = "outside_folder"


class FileTooLarge(FileRefused):
    """The file is larger than what is allowed for this use."""

    code = "file_too_large"
