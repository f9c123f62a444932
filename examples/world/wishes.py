"""The words of a prompt that the model knows, and the parameters that they set."""

# Each word of a prompt, and the parameter and value that it sets.
WORDS: dict[str, tuple[str, str | float]] = {
    word: (name, value)
    for name, value, words in (
        ("biome", "meadow", "meadow meadows grass field fields hills plain"),
        ("biome", "forest", "forest forests wood woods trees taiga"),
        ("biome", "desert", "desert dunes sand sahara"),
        ("biome", "mountains", "mountains mountain alps alpine peaks"),
        ("biome", "islands", "islands island sea ocean beach coast tropical palms"),
        ("biome", "tundra", "tundra arctic polar ice north"),
        ("weather", "clear", "clear sunny bright cloudless"),
        ("weather", "fog", "fog foggy mist misty hazy gloomy"),
        ("weather", "rain", "rain rainy wet storm stormy"),
        ("weather", "snow", "snow snowy winter wintry blizzard"),
        ("hour", 6.9, "dawn sunrise morning"),
        ("hour", 13.0, "noon midday day afternoon"),
        ("hour", 17.2, "evening golden romantic"),
        ("hour", 18.1, "dusk sunset twilight"),
        ("hour", 23.0, "night midnight moonlight stars starry"),
    )
    for word in words.split()
}
FILLERS = " a an and at by for from i in is it of on over the through to under very walk with "
