"""Copies of the programs with a change built in: a bug of tests/planted/NAME.patch, or another layout of values."""
import os
import shutil
import subprocess

from harness import BUILD, ROOT

PATCHES = ROOT / "tests/planted"
FOLDERS = ("lib", "jobs", "fcgi", "worker")
NAMES = sorted(path.stem for path in PATCHES.glob("*.patch"))


def _copy_sources(to):
    """The working tree as it is, and what was compiled from it, with its times: only what a patch touches is compiled."""
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, to / folder)
    shutil.copy2(ROOT / "Makefile", to)
    built = to / "build" / BUILD.name
    for folder in FOLDERS:
        shutil.copytree(BUILD / folder, built / folder)
    for archive in BUILD.glob("*.a"):
        shutil.copy2(archive, built)
    return built


def _compile(to, built):
    variant = BUILD.name if BUILD.name in ("asan", "tsan") else "release"
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    done = subprocess.run(["make", "-s", "-j2", f"VARIANT={variant}", f"B={built.relative_to(to)}", "all"], cwd=to, env=environment,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return built


def build_with_other_values(to):
    """A release whose values have another version, in the directory `to`; the folder of the programs."""
    built = _copy_sources(to)
    changed = 0
    for path in (to / "lib/store").glob("*.c"):
        text = path.read_text()
        if '"PNLC1 etag=' in text:
            path.write_text(text.replace('"PNLC1 etag=', '"PNLC2 etag='))
            changed += 1
    assert changed == 2, "it is read and written in one file, and measured in another"
    return _compile(to, built)


def build(name, to):
    """Applies the patch to a copy in the directory `to`; the folder of the programs. A patch that does not fit fails."""
    built = _copy_sources(to)
    done = subprocess.run(["git", "apply", PATCHES / f"{name}.patch"], cwd=to, env=dict(os.environ, GIT_CEILING_DIRECTORIES=str(to.parent)),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"tests/planted/{name}.patch no longer applies: {done.stderr}"
    return _compile(to, built)
