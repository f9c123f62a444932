"""The garden: its network grows what was drawn, heals it, keeps it and blends it; a Session has a bed of its own."""

from __future__ import annotations

import time
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest

from livereactor.base.errors import CommandError
from livereactor.runtime.execution.loading import load_model
from livereactor.runtime.interfaces import MessageOut
from livereactor.testing import Stage
from tests.tools.processes import REPOSITORY

FOLDER = REPOSITORY / "examples" / "garden"
Garden = load_model(str(FOLDER / "garden.py"))
automaton, pictures, train = (import_module(name) for name in ("automaton", "pictures", "train"))
SPECIES: tuple[str, ...] = automaton.SPECIES
NETWORK = automaton.Weights.read(FOLDER / "weights.npz")

GROWN = 100  # steps


class Plots:
    """One organism of each pair of species and blend."""

    def __init__(self, *wishes: tuple[str, str, float], seed: int = 1) -> None:
        self.chance = np.random.default_rng(seed)
        self.cells = automaton.seeds(len(wishes))
        self.genomes = np.array([automaton.genome(*wish) for wish in wishes])
        self.pictures = np.array([pictures.picture(*wish) for wish in wishes])

    def grow(self, steps: int) -> Self:
        for _ in range(steps):
            automaton.step(self.cells, self.genomes, NETWORK, self.chance)
        return self

    def errors(self) -> np.ndarray:
        """Of each organism (row) against each picture (column)."""
        return np.square(self.cells[:, None, ..., :4] - self.pictures[None]).mean(axis=(2, 3, 4))


class Species(Plots):
    """Four organisms of each species: what a single one comes to is partly chance."""

    def __init__(self) -> None:
        super().__init__(*((species, species, 0.0) for species in SPECIES for _ in range(4)))

    def own(self) -> np.ndarray:
        """The mean error of each species against its own picture."""
        return self.errors().diagonal().reshape(-1, 4).mean(axis=1)

    def nearest(self) -> list[str]:
        """Of each organism the species whose picture it looks like most."""
        return [SPECIES[n // 4] for n in self.errors().argmin(axis=1)]

    def areas(self) -> np.ndarray:
        """How much larger each organism is than its picture."""
        grown, drawn = (
            np.count_nonzero(each[..., 3] > automaton.ALIVE, (1, 2)) for each in (self.cells, self.pictures)
        )
        return grown / drawn


def named() -> list[str]:
    return [species for species in SPECIES for _ in range(4)]


def frame(stage: Stage) -> np.ndarray:
    return stage.step().frames["main_video"][0]


def after(stage: Stage, steps: int) -> np.ndarray:
    for _ in range(steps - 1):
        stage.step()
    return frame(stage)


def differing(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two frames differ visibly: bool, shape (height, width)."""
    return np.abs(a.astype(int) - b).max(axis=2) > 40


def test_each_species_grows_from_a_seed_into_its_picture_and_into_no_other() -> None:
    plots = Species().grow(GROWN)
    assert plots.own().max() < 0.025  # those of two species differ by 0.05 and more
    assert plots.nearest() == named()


def test_what_is_cut_heals() -> None:
    plots = Species().grow(GROWN)
    for cells in plots.cells:
        assert automaton.cut(cells, row=12, column=20, radius=5) > 30
    hurt = plots.own()
    assert (plots.grow(2 * GROWN).own() < 0.75 * hurt).all()
    assert plots.own().max() < 0.04
    assert plots.nearest() == named()


def test_what_is_grown_keeps_its_shape_for_a_thousand_steps() -> None:
    plots = Species().grow(1000)
    assert plots.nearest() == named()
    assert plots.own().max() < 0.06
    assert plots.areas().max() < 2
    assert np.abs(plots.cells).max() < 10


def test_a_change_of_genome_turns_one_species_into_another() -> None:
    plots = Species().grow(GROWN)
    plots.genomes = np.roll(plots.genomes, 4, axis=0)
    plots.grow(2 * GROWN)
    assert plots.nearest() == np.roll(named(), 4).tolist()


@pytest.mark.parametrize("pair", [("flower", "mushroom"), ("butterfly", "snail"), ("flower", "butterfly")])
def test_a_blend_lies_between_its_two_species(pair: tuple[str, str]) -> None:
    a, b = pair
    errors = Plots((a, a, 0.0), (a, b, 0.5), (b, b, 0.0)).grow(GROWN).errors()
    assert errors[1].argmin() == 1
    assert max(errors[1, 0], errors[1, 2]) < min(errors[0, 2], errors[2, 0])


def test_a_blend_of_nothing_is_the_species_itself() -> None:
    assert np.array_equal(automaton.genome("snail", "flower", 0.0), automaton.genome("snail", "snail", 1.0))
    assert np.array_equal(pictures.picture("snail", "flower", 0.0), pictures.picture("snail", "snail", 0.0))


def test_a_seed_grows_where_it_is_sown_and_nowhere_else() -> None:
    with Stage(Garden) as stage:
        stage.command("clear")
        bare = frame(stage)
        assert stage.command("plant", x=0.3, y=0.95) == MessageOut("planted", {"organisms": 1})
        changed = differing(after(stage, GROWN), bare)
    assert changed[200:, 110:275].sum() > 2000
    assert changed[:200].sum() == changed[:, 300:].sum() == 0


def test_a_cut_shows_at_once_and_what_is_cut_away_wholly_is_gone() -> None:
    with Stage(Garden) as stage:
        before = after(stage, GROWN)
        reply: Any = stage.command("cut", x=0.5, y=0.7, radius=0.04)
        assert reply.data["organisms"] == 1
        assert reply.data["cells"] > 20
        assert differing(frame(stage), before)[220:290, 280:360].sum() > 500
        stage.command("cut", x=0.5, y=0.7, radius=0.16)
        assert stage.command("plant", x=0.5, y=0.9) == MessageOut("planted", {"organisms": 7})


def test_the_one_in_the_light_follows_the_choice_and_a_touch_hands_it_on() -> None:
    with Stage(Garden) as stage:
        flowers = after(stage, GROWN)
        stage.command("set_species", species="snail")
        snails = after(stage, GROWN)
        assert differing(flowers, snails)[150:330, 240:400].sum() > 2000
        assert stage.command("turn", x=0.2, y=0.52) is None
        assert differing(after(stage, GROWN), snails)[100:230, 60:200].sum() > 1000
        with pytest.raises(CommandError, match="nothing grows there"):
            stage.command("turn", x=0.5, y=0.05)


def test_the_oldest_goes_where_there_are_too_many_and_clearing_leaves_bare_soil() -> None:
    with Stage(Garden) as stage:
        counts: list[Any] = [stage.command("plant", x=0.1, y=0.5) for _ in range(20)]
        assert counts[-1].data == {"organisms": 16}
        stage.command("clear")
        bare = frame(stage)
        assert np.array_equal(after(stage, 20), bare)
        assert stage.command("plant", x=0.1, y=0.5) == MessageOut("planted", {"organisms": 1})


def test_loading_says_how_far_it_is() -> None:
    with Stage(Garden) as stage:
        assert [text for _, text in stage.progress] == ["reading the weights", "digging the bed", "waking the cells"]
        fractions = [fraction for fraction, _ in stage.progress]
    assert fractions == sorted(fractions)


def test_every_session_begins_with_the_same_bed() -> None:
    stage = Stage(Garden).open()
    first = [frame(stage) for _ in range(40)]
    stage.command("plant", x=0.1, y=0.9)
    stage.command("set_blend", blend=0.7)
    stage.step()
    stage.open()
    assert all(np.array_equal(a, frame(stage)) for a in first)


def test_the_weights_say_what_made_them() -> None:
    with np.load(FOLDER / "weights.npz") as held:
        assert "train.py --rounds" in str(held["made_by"])


def test_training_writes_weights_that_err_less_and_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "STEPS", (16, 20))
    file = tmp_path / "weights.npz"
    weights, errors = train.trained(rounds=16, seed=1, file=file, made_by="a test")
    assert np.mean(errors[-5:]) < 0.95 * np.mean(errors[:5])
    assert np.array_equal(automaton.Weights.read(file).outward, weights.outward)


def test_the_gradient_is_the_slope_of_the_error() -> None:
    weights = train.fresh_weights(np.random.default_rng(0))
    weights.outward[:] = np.random.default_rng(1).normal(0, 0.02, weights.outward.shape)

    def grown() -> tuple[Any, list[Any]]:
        chance = np.random.default_rng(2)
        organisms = train.Organisms.sown(3, chance)
        return organisms, [automaton.step(organisms.plots, organisms.genomes, weights, chance) for _ in range(6)]

    organisms, traces = grown()
    slope = train.gradient(organisms, traces, weights)
    for name in ("inward", "bias"):
        held, predicted = getattr(weights, name), getattr(slope, name)
        at = np.unravel_index(np.abs(predicted).argmax(), predicted.shape)
        errors = []
        for way in (0.01, -0.02):
            held[at] += way
            errors.append(float(grown()[0].errors().astype(float).mean()))
        held[at] += 0.01
        assert (errors[0] - errors[1]) / 0.02 == pytest.approx(predicted[at], rel=0.03)


@pytest.mark.long
def test_a_frame_of_a_full_bed_takes_at_most_8_ms_of_one_core() -> None:
    spent: list[float] = []
    with Stage(Garden) as stage:
        for n in range(12):
            stage.command("plant", x=(n + 0.5) / 12, y=0.5 + 0.04 * n)
        after(stage, GROWN)
        for _ in range(60):
            before = time.thread_time()
            stage.step()
            spent.append(time.thread_time() - before)
    assert sorted(spent)[30] < 0.008
