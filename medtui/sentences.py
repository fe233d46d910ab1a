"""What only the console side can find wrong, and how it reads. Groups are alphabetical; a code is `group.name`."""

from __future__ import annotations

from engine.contract.wire.sentences import Sentence


class Disk:
    NOT_RESPONDING = Sentence(
        "The disk of {where} does not respond: no read or write completed for {seconds:g} s.",
        "Check the disk or its server. Signals still reach the engine; `ps` shows its pid.",
    )


class Notify:
    """The settings of `notify`, and a notification that did not arrive. No sentence quotes an address or a command's
    arguments: they may hold a secret."""

    COMMAND = Sentence(
        "{source}: expected notify.command to be a list of texts such as [/home/me/bin/page, me], found {found}."
    )
    COMMAND_FAILED = Sentence("The notify command {program} {reason}.", "Check notify.command in {settings}.")
    DESKTOP = Sentence("{source}: expected notify.desktop to be true or false, found {found}.")
    ON = Sentence("{source}: expected notify.on to be a list of {known}, found {found}.")
    POST_FAILED = Sentence("{host} did not take the notification: {reason}.", "Check notify.url in {settings}.")
    SHAPE = Sentence("{source}: expected notify to be true, false, or the fields {known}, found {found}.")
    UNKNOWN = Sentence("{source}: notify.{name} is unknown; known are {known}.")
    URL = Sentence("{source}: expected notify.url to be an http or https address, found {found}.")
