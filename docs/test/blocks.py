"""Writes the code blocks of a Markdown page as files, and a shell script that runs them in their order.

    blocks.py PAGE DIR ADDRESS

All `sh` blocks of a page run in one shell, so that variables persist; each `python` and `js` block is a separate
program; other blocks are not run. In each block, 127.0.0.1:8080 becomes ADDRESS. A comment on the line before a block
marks an exception, with the reason:

    <!-- not run: it takes an hour -->
    <!-- fails: the word is not there -->          it is run, and must fail

and `<!-- no block is run: ... -->` before the first block applies to the whole page.
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
