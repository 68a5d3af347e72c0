"""``python -m ner_tutorial.demo FOLDER [PORT]``: serve a folder, such as the built book, on this machine only."""

import sys
from pathlib import Path

from ner_tutorial.demo import serve, server_of


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0])
    if not (folder / "index.html").is_file():
        print(f"{folder} holds no index.html; `make book` builds the website", file=sys.stderr)
        return 1
    try:
        serve(server_of(folder, int(arguments[1]) if len(arguments) > 1 else 8000))
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
