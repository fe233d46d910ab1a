"""One file from the web: complete and verified, or not at all. What was cut is continued, also by another process."""

from engine.download.transfer import Download, DownloadFailed, OnProgress, download

__all__ = ["Download", "DownloadFailed", "OnProgress", "download"]
