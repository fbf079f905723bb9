"""`python -m e2e.install`: install what the chosen engines need, or say exactly what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests import postgres

from e2e.engines import ALWAYS, APT_PACKAGES, ENGINES, FINDERS, MissingEngineError, chosen_engines

SERVER_PACKAGES = ("postgresql",)  # for the tests of the PostgreSQL store


def absent_engines(names: tuple[str, ...]) -> dict[str, str]:
    """Families of `names` that cannot be launched here, with the Debian packages that would help."""
    absent = {}
    for family in dict.fromkeys(ENGINES[name].family for name in names):
        try:
            FINDERS[family]()
        except MissingEngineError:
            absent[family] = APT_PACKAGES[family]
    return absent


def has_postgresql() -> bool:
    """Whether the tests find a PostgreSQL to start."""
    try:
        postgres.binaries()
    except RuntimeError:
        return False
    return True


def absent_packages(names: tuple[str, ...]) -> list[str]:
    """Debian packages that are needed and not there."""
    packages = [package for need in absent_engines(names).values() for package in need.split()]
    return packages + ([] if has_postgresql() else list(SERVER_PACKAGES))


def install(names: tuple[str, ...]) -> int:
    """Install with apt as root what is missing, else say exactly what to install; the exit code."""
    packages = absent_packages(names)
    if packages and os.geteuid() == 0 and (apt := shutil.which("apt-get")):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        print(f"Installing {' '.join(packages)}", flush=True)
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
            if subprocess.run([apt, *command], env=environment, check=False).returncode:
                print(f"apt-get {' '.join(command)} failed", file=sys.stderr)
        packages = absent_packages(names)
    if not packages:
        return 0
    print(
        f"Missing for the tests: {' '.join(packages)}\n"
        f"As root on Debian or Ubuntu: apt-get install {' '.join(packages)}\n"
        "To test fewer engines: FLEETUNE_ENGINES=chromium make test",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(install((*chosen_engines(), *ALWAYS)))
