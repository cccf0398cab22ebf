"""How long a page takes to read: prose, code and formulas, without what is folded away and without the exercises."""

import re

WORDS_A_MINUTE, SECONDS_A_LINE, SECONDS_A_FORMULA = 250, 1.5, 10
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.S | re.M)


def minutes(text):
    """Markdown of a page -> minutes: 250 words of prose a minute, 1.5 s a line of code, 10 s a displayed formula."""
    text = re.sub(r"^<details>.*?^</details>$", "", text.partition("\n## Exercises")[0], flags=re.S | re.M)
    seconds = 0.0
    for language, inside in FENCED.findall(text):
        seconds += SECONDS_A_FORMULA if language == "math" else SECONDS_A_LINE * inside.count("\n")
    prose = re.sub(r"\]\([^)]*\)", "]", FENCED.sub("", text))  # a link's address is not read
    return len(prose.split()) / WORDS_A_MINUTE + seconds / 60
