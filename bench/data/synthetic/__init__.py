"""Planted truth: the demo worlds with their audio and listening, and logs with tables at any size."""

from bench.data.synthetic.listening import Plays, make_plays
from bench.data.synthetic.model import (
    CUT,
    DEMO,
    DEMO_LONG,
    END,
    START,
    VERSION,
    Artist,
    Track,
    World,
    WorldSize,
)
from bench.data.synthetic.sound import render
from bench.data.synthetic.stream import Stream
from bench.data.synthetic.styles import AMBIGUOUS, GENRES
from bench.data.synthetic.tables import Planted, planted
from bench.data.synthetic.world import make_world

__all__ = [
    "AMBIGUOUS",
    "CUT",
    "DEMO",
    "DEMO_LONG",
    "END",
    "GENRES",
    "START",
    "VERSION",
    "Artist",
    "Planted",
    "Plays",
    "Stream",
    "Track",
    "World",
    "WorldSize",
    "make_plays",
    "make_world",
    "planted",
    "render",
]
