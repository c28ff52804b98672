"""The world that the model knows: its words, scenes as data, random scenes, and edits of a scene.

A scene has everything that its picture depends on. The caption names its attributes (object, colour, place, time,
accessory, style, a second object). The positions of things and the layout of the background follow from a separate
seed, `layout`. So a true edited pair is a scene and the same scene with one attribute replaced: nothing else moves.
"""
from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass, replace

# word -> (icon of fluent-emoji-flat, fixed colour or None, kind, where a hat sits: x, y, width of the sprite)
OBJECTS = {
    "cat": ("cat", None, "animal", (0.24, 0.20, 0.36)),
    "dog": ("dog", "brown", "animal", (0.27, 0.23, 0.34)),
    "rabbit": ("rabbit", None, "animal", (0.33, 0.30, 0.34)),
    "pig": ("pig", None, "animal", (0.18, 0.34, 0.32)),
    "elephant": ("elephant", None, "animal", (0.26, 0.22, 0.38)),
    "penguin": ("penguin", None, "animal", (0.50, 0.10, 0.42)),
    "duck": ("duck", None, "animal", (0.36, 0.09, 0.32)),
    "tiger": ("tiger", None, "animal", (0.20, 0.28, 0.32)),
    "car": ("automobile", "red", "vehicle", None),
    "bus": ("bus", None, "vehicle", None),
    "boat": ("sailboat", None, "vehicle", None),
    "house": ("house", None, "thing", None),
    "castle": ("castle", None, "thing", None),
    "tree": ("deciduous-tree", None, "thing", None),
    "flower": ("tulip", None, "thing", None),
    "cake": ("birthday-cake", None, "thing", None),
}
COLOURS = {
    "red": (228, 40, 48), "yellow": (250, 205, 40), "green": (60, 170, 70), "blue": (45, 110, 235),
    "purple": (140, 80, 210), "pink": (250, 130, 190), "white": (242, 242, 246), "black": (52, 52, 60),
}
PAINTS = COLOURS | {"brown": (140, 88, 52)}
PLACES = {
    "grass": "on the grass", "snow": "in the snow", "beach": "on the beach", "desert": "in the desert",
    "city": "in the city", "forest": "in the forest", "sea": "in the sea", "moon": "on the moon",
}
TIMES = {"night": "at night", "sunset": "at sunset"}
# Places that also occur without an article: "on grass".
BARE = ("grass", "snow")
# Places without a time of day: under water and on the moon.
TIMELESS = ("sea", "moon")
ACCESSORIES = ("hat", "crown", "balloon")
STYLES = {"sketch": "a sketch of", "pixel": "pixel art of"}
# Function words of captions.
FUNCTION_WORDS = ("a", "an", "the", "of", "on", "in", "at", "with", "and", "next", "to")
# Words that can be turned up and down: the strength scales the word's attention, and the picture changes with it.
FADERS = ("colour", "accessory", "time", "place")


@dataclass(frozen=True)
class Scene:
    """The content of a picture. A colour is None if the caption names none and the thing has its own."""

    object: str
    colour: str | None = None
    place: str | None = None
    time: str | None = None
    accessory: str | None = None
    accessory_colour: str | None = None
    second: str | None = None
    second_colour: str | None = None
    style: str | None = None
    article: bool = True  # "on the grass" or "on grass"
    joined_by: str = "next to"  # "next to" or "and"
    layout: int = 0  # seed of everything that the caption does not name
    faded: str | None = None  # one of FADERS: the attribute whose word is turned up or down, ...
    strength: float = 1.0  # ... and by how much: 0 gone, 1 as drawn, 2.5 at most

    @property
    def kind(self) -> str:
        return OBJECTS[self.object][2]


def article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def caption(scene: Scene) -> tuple[str, list[tuple[int, int]], list[int]]:
    """The caption; (word index, mask index) of the words with a location in the picture, with masks 0 the object,
    1 the second one, 2 the accessory, 3 the rest; the indices of the words that `scene.faded` turns up or down."""
    words: list[str] = []
    marks: list[tuple[int, int]] = []
    faded: list[int] = []

    def say(phrase: str, mask: int | None = None, attribute: str | None = None) -> None:
        for word in phrase.split():
            if word not in FUNCTION_WORDS:
                if mask is not None:
                    marks.append((len(words), mask))
                if attribute is not None and attribute == scene.faded:
                    faded.append(len(words))
            words.append(word)

    def say_thing(colour: str | None, noun: str, mask: int, colour_of: str | None, noun_of: str | None) -> None:
        say(article(colour or noun))
        if colour:
            say(colour, mask, colour_of)
        say(noun, mask, noun_of)

    if scene.style:
        say(STYLES[scene.style])
    say_thing(scene.colour, scene.object, 0, "colour", None)
    if scene.accessory:
        say("with")
        say_thing(scene.accessory_colour, scene.accessory, 2, None, "accessory")
    if scene.second:
        say(scene.joined_by)
        say_thing(scene.second_colour, scene.second, 1, None, None)
    if scene.place:
        phrase = PLACES[scene.place]
        say(phrase if scene.article or scene.place not in BARE else phrase.replace(" the", ""), 3, "place")
    if scene.time:
        say(TIMES[scene.time], None, "time")
    return " ".join(words), marks, faded


# Openings without information about the picture, as people write them.
OPENINGS = ("a photo of", "a picture of")


def opened(opening: str, text: str, marks: list, faded: list) -> tuple[str, list, list]:
    """A caption with an opening before it, and its word indices shifted."""
    by = len(opening.split())
    return f"{opening} {text}", [(word + by, mask) for word, mask in marks], [word + by for word in faded]


def all_words() -> dict[str, list[str]]:
    """Every word of every caption, grouped by its meaning; `other` are function words."""
    told = {
        "objects": list(OBJECTS), "colours": list(COLOURS), "places": list(PLACES), "times": list(TIMES),
        "accessories": list(ACCESSORIES), "styles": [" ".join(w for w in p.split() if w not in FUNCTION_WORDS) for p in STYLES.values()],
    }
    said = {w for words in told.values() for phrase in words for w in phrase.split()}
    return told | {"other": [w for w in (*FUNCTION_WORDS, "photo", "picture") if w not in said]}


def held_out(scene: Scene) -> bool:
    """Whether this combination of object, colour and place is held out: one in ten, never trained on."""
    key = f"{scene.object} {scene.colour} {scene.place}".encode()
    return hashlib.sha256(key).digest()[0] % 10 == 0


def may_wear(object_: str, accessory: str) -> bool:
    kind = OBJECTS[object_][2]
    return kind == "animal" or (kind == "vehicle" and accessory == "balloon")


def draw(r: random.Random) -> Scene:
    """A random scene; all objects, colours, places and accessories are equally frequent."""
    object_ = r.choice(list(OBJECTS))
    colour = r.choice(list(COLOURS)) if r.random() < 0.5 else None
    place = r.choice(list(PLACES)) if r.random() < 0.94 else None
    time = None
    if place not in TIMELESS and place is not None:
        u = r.random()
        time = "night" if u < 0.2 else "sunset" if u < 0.35 else None
    wearable = [a for a in ACCESSORIES if may_wear(object_, a)]
    accessory = r.choice(wearable) if wearable and r.random() < (0.4 if len(wearable) > 1 else 0.15) else None
    accessory_colour = r.choice(list(COLOURS)) if accessory in ("hat", "balloon") and r.random() < 0.3 else None
    second = second_colour = None
    if not accessory and r.random() < 0.14:
        second = r.choice([o for o in OBJECTS if o != object_])
        # the hard pairs: two things and a colour for one of them, or one for each
        second_colour = r.choice(list(COLOURS)) if r.random() < 0.4 else None
    u = r.random()
    style = "sketch" if u < 0.08 else "pixel" if u < 0.16 else None
    return Scene(
        object_, colour, place, time, accessory, accessory_colour, second, second_colour, style,
        article=r.random() < 0.75, joined_by=r.choice(("next to", "and")), layout=r.getrandbits(32),
    )


def with_fader(scene: Scene, r: random.Random) -> Scene:
    """The scene with one of its words turned up or down, if it has such a word."""
    can = [a for a in FADERS if getattr(scene, a) and (a != "place" or scene.place in ("snow", "forest", "city"))]
    if not can or scene.style:
        return scene
    strength = r.choice((0.0, 0.0, r.uniform(0.2, 1.0), r.uniform(1.0, 2.5)))
    faded = r.choice([a for a in can if a != "place" or strength > 0] or [None])
    return replace(scene, faded=faded, strength=strength) if faded else scene


# The kinds of edit, by the attribute that changes.
KINDS = ("object", "colour", "place", "time", "accessory", "style")


def edit(scene: Scene, kind: str, r: random.Random) -> Scene | None:
    """The same scene with one attribute changed or added; None if the scene has no such edit."""
    if kind == "object":
        # like for like: an animal for an animal, so that an accessory still fits
        fitting = [o for o in OBJECTS if o != scene.object and o != scene.second and OBJECTS[o][2] == scene.kind]
        return replace(scene, object=r.choice(fitting))
    if kind == "colour":
        return replace(scene, colour=r.choice([c for c in COLOURS if c != scene.colour]))
    if kind == "place":
        if not scene.place:
            return None
        places = [p for p in PLACES if p != scene.place and not (scene.time and p in TIMELESS)]
        return replace(scene, place=r.choice(places))
    if kind == "time":
        if scene.time or not scene.place or scene.place in TIMELESS:
            return None
        return replace(scene, time=r.choice(list(TIMES)))
    if kind == "accessory":
        fitting = [a for a in ACCESSORIES if may_wear(scene.object, a)]
        if scene.accessory or scene.second or not fitting:
            return None
        accessory = r.choice(fitting)
        colour = r.choice(list(COLOURS)) if accessory in ("hat", "balloon") and r.random() < 0.3 else None
        return replace(scene, accessory=accessory, accessory_colour=colour)
    if kind == "style":
        return None if scene.style else replace(scene, style=r.choice(list(STYLES)))
    raise ValueError(f"no such kind of edit: {kind}")
