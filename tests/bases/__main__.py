"""The command line of the maker."""

from __future__ import annotations

import argparse
from pathlib import Path

from tests import bases
from tests.bases.make import make_all, push
from tests.bases.recipe import RECIPES, load_recipes


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bases",
        description=bases.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", nargs="?", metavar="OUT", type=Path, help="folder of the OCI layouts")
    parser.add_argument("names", nargs="*", metavar="NAME", help="images to make (default: all)")
    parser.add_argument("--cache", action="store_true", help="OUT is the folder that the tests use")
    parser.add_argument("--push", metavar="HOST:PORT", help="copy them into this registry too (plain http)")
    parser.add_argument("--jobs", type=int, default=2, help="images made at a time (default: 2)")
    parser.add_argument("--list", action="store_true", help="name the images and stop")
    args = parser.parse_args()
    if args.list:
        load_recipes()
        for recipe in RECIPES:
            print(f"{' '.join(recipe.names):60} {recipe.says}")
        return
    out, names = args.out, args.names
    if args.cache:
        names = [str(out), *names] if out else names
        out = bases.cache_folder()
    if out is None:
        parser.error("OUT is missing")
    made = make_all(out, names, jobs=args.jobs)
    if args.push:
        push(out, names or made, args.push)


if __name__ == "__main__":
    main()
