"""The fixtures of `delivered` for every test here."""

from delivered import dockerfile, installed, wheel

__all__ = ["dockerfile", "installed", "wheel"]
