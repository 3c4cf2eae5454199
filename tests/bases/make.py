"""Making the images: which, in what order, and when one is still good."""

from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import gzip
import hashlib
import json
import os
import pathlib
import tempfile
import time

from tests.bases.layout import EPOCH, REF, Layout, snapshot, unpack, write_layer
from tests.bases.packages import Packages
from tests.bases.process import run, say
from tests.bases.recipe import CA_BUNDLE, RECIPES, load_recipes

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
FINGERPRINT = "stand-in.fingerprint"


def split(name):
    repository, _, tag = name.partition(":")
    return repository, tag


class Maker:
    """Makes recipes into images in the layouts below `out`."""

    def __init__(self, out, packages):
        self.out, self.packages = out, packages
        self.by_name = {name: r for r in RECIPES for name in r.names}
        here = pathlib.Path(__file__).parent
        sources = [*sorted(here.glob("*.py")), *sorted(here.glob("*_files/*")), pathlib.Path(CA_BUNDLE)]
        texts = [path.read_bytes() for path in sources]
        self.base = hashlib.sha256(b"".join(texts)).hexdigest()

    def layout(self, name):
        return Layout(self.out / split(name)[0])

    def fingerprint(self, recipe):
        """Depends on these sources, the CA bundle, and the very parent that lies in OUT."""
        parent = self.layout(recipe.parent).find(split(recipe.parent)[1])["digest"] if recipe.parent else ""
        return hashlib.sha256(f"{self.base} {recipe.names[0]} {parent}".encode()).hexdigest()[:16]

    def fresh(self, recipe, mark):
        found = [self.layout(n).find(split(n)[1]) for n in recipe.names]
        return all(f and f["annotations"].get(FINGERPRINT) == mark for f in found)

    def is_there(self, recipe):
        """Whether the image and all that it builds on are there and up to date."""
        while recipe:
            parent = recipe.parent and self.by_name[recipe.parent]
            if parent and not self.layout(recipe.parent).find(split(recipe.parent)[1]):
                return False
            if not self.fresh(recipe, self.fingerprint(recipe)):
                return False
            recipe = parent
        return True

    def make(self, recipe):
        start, name, mark = time.monotonic(), recipe.names[0], self.fingerprint(recipe)
        if self.fresh(recipe, mark):
            say(f"{name:28} up to date")
            return
        layout = self.layout(name)
        with tempfile.TemporaryDirectory(dir=self.packages.work) as folder:
            root = pathlib.Path(folder, "root")
            root.mkdir()
            config = {"config": {}, "rootfs": {"type": "layers", "diff_ids": []}, "history": []}
            layers, before = [], {}
            if recipe.parent:
                parent_layout = self.layout(recipe.parent)
                parent = parent_layout.find(split(recipe.parent)[1])
                unpack(parent_layout, parent, root)
                before = snapshot(root)
                manifest = json.loads(parent_layout.blob(parent["digest"]).read_text())
                config = json.loads(parent_layout.blob(manifest["config"]["digest"]).read_text())
                layers = manifest["layers"]
            changes = recipe.make(root, self.packages)
            layer = write_layer(root, before, layout, pathlib.Path(folder))
            if layer:
                layers = [*layers, layer["descriptor"]]
                config["rootfs"]["diff_ids"].append(layer["diff_id"])
                config["history"].append({"created": stamp(), "created_by": f"tests/bases {name}"})
            config["history"].append(
                {"created": stamp(), "created_by": f"tests/bases {name} config", "empty_layer": True}
            )
            config.update(created=stamp(), architecture="amd64", os="linux")
            if changes.get("Entrypoint") and "Cmd" not in changes:
                config["config"].pop("Cmd", None)
            config["config"].update(changes)
            for alias in recipe.names:
                self.tag(alias, recipe, config, layers, mark)
        packed = sum(layer["size"] for layer in layers)
        unpacked = sum(self.unpacked_size(name, layer["digest"]) for layer in layers)
        say(
            f"{name:28} {time.monotonic() - start:6.1f} s  {packed / 1e6:7.1f} MB packed"
            f"  {unpacked / 1e6:7.1f} MB unpacked  {len(layers)} layers"
        )

    def unpacked_size(self, name, digest):
        with gzip.open(self.layout(name).blob(digest)) as f:
            return sum(len(piece) for piece in iter(lambda: f.read(1 << 20), b""))

    def tag(self, name, recipe, config, layers, mark):
        """Write config and manifest for one name of a recipe, sharing layer files by hard link."""
        layout, source = self.layout(name), self.layout(recipe.names[0])
        config = json.loads(json.dumps(config))
        config["config"]["Labels"] = {
            "stand-in": f"stand-in for {name}, not the official image: {recipe.says}"
        }
        layout.blobs.mkdir(parents=True, exist_ok=True)
        for layer in layers:
            target = layout.blob(layer["digest"])
            if not target.exists():
                owner = source if source.blob(layer["digest"]).exists() else self.layout(recipe.parent)
                with contextlib.suppress(FileExistsError):
                    os.link(owner.blob(layer["digest"]), target)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, **layout.put(config)},
            "layers": layers,
        }
        layout.tag(
            split(name)[1],
            {
                "mediaType": MANIFEST,
                **layout.put(manifest),
                "platform": {"architecture": "amd64", "os": "linux"},
                "annotations": {REF: split(name)[1], FINGERPRINT: mark},
            },
        )


def stamp():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(EPOCH))


def chosen(maker, names):
    """The recipes of the named images and of the images they build on, parents first."""
    wanted = []
    for name in names:
        chain, recipe = [], maker.by_name.get(name.removeprefix("gcr.io/"))
        if not recipe:
            raise SystemExit(f"bases: no recipe makes '{name}'")
        while recipe:
            chain.insert(0, recipe)
            recipe = recipe.parent and maker.by_name[recipe.parent]
        wanted += [r for r in chain if r not in wanted]
    return wanted


def make_all(out, names=(), jobs=2):
    """Make the named images (none: all) below `out`; return the names that can be had there now."""
    load_recipes()
    out.mkdir(parents=True, exist_ok=True)
    out = out.resolve()
    with open(out / ".lock", "w") as lock, tempfile.TemporaryDirectory(prefix="bases-") as folder:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pathlib.Path(folder).chmod(0o755)  # apt downloads as its own user
        maker = Maker(out, Packages(pathlib.Path(folder)))
        recipes = chosen(maker, names or list(maker.by_name))
        if all(maker.is_there(r) for r in recipes):
            return [n for r in recipes for n in r.names]
        if os.geteuid() or os.uname().machine != "x86_64":
            raise SystemExit("bases: stand-in images are made as root, on x86_64")
        start, umask = time.monotonic(), os.umask(0o022)
        try:
            make_in_order(maker, recipes, jobs)
        finally:
            os.umask(umask)
        for repository in {split(n)[0] for r in recipes for n in r.names}:
            Layout(out / repository).prune()
    say(f"made the stand-in images in {time.monotonic() - start:.0f} s")
    return [n for r in recipes for n in r.names]


def make_in_order(maker, recipes, jobs):
    """Side by side; parents come first, so a waiting child never holds up its own parent."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        futures = {}
        for r in recipes:
            before = futures.get(r.parent)
            future = pool.submit(lambda r=r, before=before: (before and before.result(), maker.make(r)))
            futures.update(dict.fromkeys(r.names, future))
        try:
            for future in futures.values():
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def push(out, names, registry):
    """Copy images into a registry that speaks plain http."""
    for name in names:
        repository, tag = split(name.removeprefix("gcr.io/"))
        path = repository if "/" in repository else f"library/{repository}"
        run(
            "skopeo",
            "copy",
            "-q",
            "--dest-tls-verify=false",
            f"oci:{out / repository}:{tag}",
            f"docker://{registry}/{path}:{tag}",
        )
        say(f"pushed {path}:{tag}")
