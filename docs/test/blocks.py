"""Writes the code blocks of a Markdown page as files, and a shell script that runs them in their order.

    blocks.py PAGE DIR ADDRESS

A block of `sh` is run by the one shell of its page, so that variables go on from block to block; `python` and `js` are
programs of their own; other blocks are left alone. In each, 127.0.0.1:8080 becomes ADDRESS. A comment on the line before
a block says what is different about it, and why:

    <!-- not run: it takes an hour -->
    <!-- fails: the word is not there -->          it is run, and has to fail

and `<!-- no block is run: ... -->` before the first block goes for the page.
"""

import pathlib
import re
import sys

RUNNERS = {"sh": ".", "python": '"$python"', "js": "node"}
SUFFIXES = {"sh": "sh", "python": "py", "js": "mjs"}


def main(page: pathlib.Path, folder: pathlib.Path, address: str) -> None:
    text = page.read_text()
    script, ran, left = [], 0, []
    whole = re.search(r"^<!-- no block is run: (.+) -->$", text, re.M)
    for block in re.finditer(r"^(?:<!-- (not run|fails): ([^\n]+) -->\n)?```(\w+)\n(.*?)^```$", text, re.M | re.S):
        mark, why, language, code = block.groups()
        if language not in RUNNERS:
            continue
        line = text.count("\n", 0, block.start(4))
        if whole or mark == "not run":
            left.append(f"{page}:{line}: not run: {whole[1] if whole else why}")
            continue
        ran += 1
        file = folder / f"{line:04}.{SUFFIXES[language]}"
        file.write_text(code.replace("127.0.0.1:8080", address))
        run = f"{RUNNERS[language]} {file}"
        script.append(f"at='{page}:{line}'")
        script.append(f"if ( {run} ); then echo \"$at did not fail\" >&2; exit 1; fi" if mark == "fails" else run)
    (folder / "page.sh").write_text("\n".join(script) + "\n")
    print("\n".join([*left, f"{page}: {ran} blocks"]))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3])
