// Boots the pinned Pyodide once, at build time, and keeps its memory: browsers start from there (npm's postinstall).
// The options are Pyodide's own but undocumented; without this file, or where it does not fit, the page boots plainly.
// Randomness that Python drew at boot (hash seed, `random`) is in it: nothing private uses either (fleetune.privacy).
import { rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const FILE = new URL("node_modules/pyodide/snapshot.bin.gz", import.meta.url);
// The part of the standard library that numpy, micropip and fleetune import: unpacked and compiled here, not there.
const IMPORTS = `
import ast, asyncio, collections.abc, contextlib, ctypes, dataclasses, datetime, email.parser, fractions, functools
import hashlib, importlib.metadata, inspect, json, logging, math, numbers, operator, pathlib, pickle, platform, random
import re, secrets, shutil, statistics, struct, tempfile, textwrap, traceback, typing, urllib.parse, warnings, zipfile
`;

rmSync(FILE, { force: true });
try {
  const { loadPyodide } = await import("./node_modules/pyodide/pyodide.mjs");
  const pyodide = await loadPyodide({ _makeSnapshot: true });
  pyodide.runPython(IMPORTS);
  writeFileSync(FILE, gzipSync(pyodide.makeMemorySnapshot(), { level: 9 }));
  process.exit(0);
} catch (error) {
  process.stderr.write(`no memory snapshot of Python, so pages start it plainly: ${error.message}\n`, () => process.exit(0));
}
