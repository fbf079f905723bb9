// @ts-check
/**
 * Python for the page, as browsers get it: `node browser/pack_python.mjs` fills browser/dist/pyodide.
 *
 * Modules are compiled (by the very Python that will run them: a browser would do it at every start), what the page never
 * imports is left out, archives are stored and the whole is packed for the wire, once, where the package is built.
 */
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import { loadPyodide } from "./node_modules/pyodide/pyodide.mjs";

const here = import.meta.dirname;
const release = `${here}/node_modules/pyodide`;
const made = `${here}/dist/pyodide`;
const making = `${made}.making`;
const LOCK = "pyodide-lock.json";
const LARGE = 32768; // bytes from which packing is worth a file (common/assets.py)

/** Of the standard library and numpy, what nothing imports that runs in the page (tests/test_pack_python.py). */
const LEFT_OUT = [
  "doctest.py", "imaplib.py", "mailbox.py", "multiprocessing/", "optparse.py", "pdb.py", "pickletools.py", "pydoc.py",
  "unittest/", "wsgiref/", "xml/", "xmlrpc/",
  "numpy/f2py/", "numpy/fft/", "numpy/ma/", "numpy/polynomial/", "numpy/random/", "numpy/testing/",
];
const FOR_COMPILERS = [".a", ".h", ".c", ".pxd", ".pyi"];

/** numpy hands its docstrings to C and does not start without them; nobody asks the standard library for help here. */
const KEEPS_DOCSTRINGS = "numpy";

const PACK = `
import io, py_compile, zipfile
from pathlib import Path

def compiled(name, source):
    here = Path("/tmp/module.py")
    here.write_bytes(source)
    optimize = 0 if name.startswith("${KEEPS_DOCSTRINGS}") else 2
    unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
    made = py_compile.compile(here, "/tmp/module.pyc", name, True, optimize, unchecked)
    return Path(made).read_bytes()

def pack(archive, left_out, for_compilers):
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive.to_bytes())) as old, zipfile.ZipFile(packed, "w") as new:
        for member in old.infolist():
            name, body = member.filename, old.read(member)
            if name.startswith(tuple(left_out)) or name.endswith(tuple(for_compilers)):
                continue
            if name.endswith(".py"):
                name, body = name + "c", compiled(name, body)
            entry = zipfile.ZipInfo(name, member.date_time)
            entry.external_attr = member.external_attr
            new.writestr(entry, body)
    return packed.getvalue()

pack
`;

/** What the licences of compiled modules ask for. @param {string} version */
const NOTICE = (version) => `Pyodide ${version} (MPL-2.0), with the standard library of Python (PSF licence) and numpy (BSD-3-Clause).
Modules are compiled, and some are left out; their source is https://github.com/pyodide/pyodide/tree/${version}
`;

/** @param {Uint8Array} bytes */
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

const python = await loadPyodide({ indexURL: release });
const pack = python.runPython(PACK);
const lists = [LEFT_OUT, FOR_COMPILERS].map((list) => python.toPy(list));
/** @param {Uint8Array} archive @returns {Uint8Array} */
const packed = (archive) => pack(new Uint8Array(archive), ...lists).toJs();

const lock = JSON.parse(readFileSync(`${release}/${LOCK}`, "utf8"));
const { file_name: numpy, sha256: expected } = lock.packages.numpy;
const wheel = readFileSync(`${here}/vendor/${numpy}`);
if (sha256(wheel) !== expected) throw new Error(`vendor/${numpy} is not the wheel that Pyodide's release names`);
const ours = packed(wheel);
lock.packages.numpy.sha256 = sha256(ours);

/** @type {Record<string, Uint8Array>} */
const files = {
  ...Object.fromEntries(["pyodide.mjs", "pyodide.asm.js", "pyodide.asm.wasm"].map((name) => [name, readFileSync(`${release}/${name}`)])),
  "python_stdlib.zip": packed(readFileSync(`${release}/python_stdlib.zip`)),
  [numpy]: ours,
  [LOCK]: Buffer.from(JSON.stringify({ ...lock, packages: { numpy: lock.packages.numpy } })),
};

rmSync(making, { recursive: true, force: true });
mkdirSync(making, { recursive: true });
cpSync(`${here}/vendor/licences`, `${making}/licences`, { recursive: true });
writeFileSync(`${making}/licences/pyodide-${lock.info.version}.txt`, NOTICE(lock.info.version));
const params = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_LGWIN]: 24 };
await Promise.all(
  Object.entries(files).map(async ([name, body]) => {
    writeFileSync(`${making}/${name}`, body);
    if (body.length < LARGE) return;
    writeFileSync(`${making}/${name}.br`, await promisify(brotliCompress)(body, { params }));
    writeFileSync(`${making}/${name}.gz`, await promisify(gzip)(body, { level: 9 }));
  }),
);
writeFileSync(`${here}/dist/package.json`, "{}\n"); // scripts there are no modules to Node
rmSync(made, { recursive: true, force: true });
renameSync(making, made);
process.exit(0); // Python's timers would keep it
