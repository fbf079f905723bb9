// Starts the pinned Pyodide once, at build time, and keeps its memory, from which browsers start (`make run`).
// The options are Pyodide's own but undocumented. Without this file, or where it does not fit, pages start Python
// plainly; this script, the server and the page say so.
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
  const slower = "WARNING: no memory snapshot of Python was made, so it starts 1 to 5 s more slowly in every page";
  process.stderr.write(`${slower}: ${error.message}\n`, () => process.exit(0));
}
