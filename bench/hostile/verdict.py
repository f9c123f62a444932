"""The judgement of one attack: what the owner felt and what the server held, with and without. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.hostile.attack import Attack
from bench.hostile.owner import Felt
from bench.hostile.watching import MB, Held

TIMES = 2.0  # what may become of a p99
# Milliseconds below which a longer p99 is noise: two slices of Linux's scheduler (about 4 ms each on two cores). The
# attackers of the bench take processors of the same machine, which those of the world outside do not.
FLOOR = 8.0
GROWTH = 10 * MB


@dataclass(frozen=True, slots=True)
class Measured:
    """One attack, measured.

    Attributes:
        quiet, attacked: what the owner felt.
        before, peak, after: what the server held: quiet, at most while attacked, and once it had settled.
        sent: what the attacker sent: requests, messages or packets.
        answers: what the attacker was answered, counted.
        ended: what ended the owner's session or connection.
    """

    quiet: Felt
    attacked: Felt
    before: Held
    peak: Held
    after: Held
    sent: int
    answers: Counter[str]
    ended: Sequence[str] = ()


def slower(what: str, quiet: float, attacked: float) -> list[str]:
    """Return a complaint where a p99 has doubled by more than noise."""
    if attacked > TIMES * quiet and attacked - quiet > FLOOR:
        return [f"{what} p99 went from {quiet:g} to {attacked:g} ms"]
    return []


def is_back(before: Held, after: Held) -> bool:
    """Return whether a server holds no more than before."""
    return not left_behind(before, after)


def left_behind(before: Held, after: Held) -> list[str]:
    """Return complaints about what a server still holds, or no longer has."""
    wrong: list[str] = []
    if after.memory - before.memory > GROWTH:
        wrong.append(f"memory grew by {(after.memory - before.memory) / MB:.1f} MB")
    for name, had, has in (
        ("descriptors", before.descriptors, after.descriptors),
        ("UDP sockets", before.udp, after.udp),
    ):
        if has > had:
            wrong.append(f"{has - had} {name} are left")
    if gone := before.processes - after.processes:
        wrong.append(f"{len(gone)} processes of the server have ended")
    return wrong


def promises(attack: Attack, measured: Measured) -> list[str]:
    """Return broken promises that no load of the machine excuses."""
    wrong = [f"the owner's client became {status}" for status in measured.ended]
    if measured.attacked.lost:
        wrong.append(f"{measured.attacked.lost} commands of the owner were lost")
    return wrong + attack.broken(measured.answers) + left_behind(measured.before, measured.after)


def delays(measured: Measured) -> list[str]:
    """Return what became slower."""
    quiet, attacked = measured.quiet, measured.attacked
    return [
        *slower("frame gap", quiet.gap_p99, attacked.gap_p99),
        *slower("command", quiet.command_p99, attacked.command_p99),
    ]
