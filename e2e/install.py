"""Installs what the tests need of the system, or says exactly what is missing.

`python -m e2e.install` for every test in the chosen engines, `python -m e2e.install unit` for `tests/` alone.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

from tests import postgres, proxies

from e2e.engines import ALWAYS, ENGINES, chosen_engines
from fleetune_server.kernels import browsers

Check = Callable[[], object]


def _openmp() -> None:
    """LightGBM's wheel does not bring it."""
    if sys.platform == "linux":
        ctypes.CDLL("libgomp.so.1")


def _prometheus() -> None:
    """It brings promtool."""
    for program in ("prometheus", "promtool"):
        if shutil.which(program) is None:
            raise RuntimeError(f"{program} is not installed: apt-get install prometheus")


# What the tests need whatever the engines: a check that raises if it is absent, and Debian's packages.
ALWAYS_NEEDED: tuple[tuple[Check, tuple[str, ...]], ...] = (
    (postgres.binaries, ("postgresql",)),
    (_openmp, ("libgomp1",)),
    (proxies.binary, ("nginx",)),
    (_prometheus, ("prometheus",)),
)
NEEDED_BY_FAMILY: dict[str, tuple[Check, tuple[str, ...]]] = {
    **{
        name: (partial(browsers.find, name), (family.programs[0],))
        for name, family in browsers.FAMILIES.items()
    },
    "webkit": (browsers.find_webkit, browsers.WEBKIT_PACKAGES),
}


def absent_packages(engines: tuple[str, ...]) -> Iterator[str]:
    """Debian packages that are needed for these engines and not there."""
    families = dict.fromkeys(ENGINES[name].family for name in engines)
    for check, packages in (*ALWAYS_NEEDED, *(NEEDED_BY_FAMILY[family] for family in families)):
        try:
            check()
        except (OSError, RuntimeError, browsers.MissingBrowserError):
            yield from packages


def install(engines: tuple[str, ...]) -> int:
    """Install with apt as root what is missing, else say exactly what to install; the exit code."""
    packages = list(absent_packages(engines))
    if packages and os.geteuid() == 0 and (apt := shutil.which("apt-get")):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        print(f"Installing {' '.join(packages)}", flush=True)
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
            if subprocess.run([apt, *command], env=environment, check=False).returncode:
                print(f"apt-get {' '.join(command)} failed", file=sys.stderr)
        packages = list(absent_packages(engines))
    if not packages:
        return 0
    print(
        f"Missing for the tests: {' '.join(packages)}\n"
        f"As root on Debian or Ubuntu: apt-get install {' '.join(packages)}",
        *(["To test fewer engines: FLEETUNE_ENGINES=chromium make test"] if engines else []),
        sep="\n",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(install(() if sys.argv[1:] == ["unit"] else (*chosen_engines(), *ALWAYS)))
