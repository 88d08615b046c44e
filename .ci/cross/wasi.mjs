// Run a program for wasm32-wasip1 in node, with this process's arguments, environment and streams, and without files.
// Usage: node wasi.mjs PROGRAM [ARGUMENT]...
import { readFile } from "node:fs/promises";
import { WASI } from "node:wasi";

const args = process.argv.slice(2);
const wasi = new WASI({ version: "preview1", args, env: process.env, returnOnExit: true });
const module = await WebAssembly.compile(await readFile(args[0]));
// What a panic throws: a pointer to it.
const env = { __cpp_exception: new WebAssembly.Tag({ parameters: ["i32"] }) };
// std names functions for threads that the C library may lack. There are no threads, so nothing calls them.
for (const { kind, module: from, name } of WebAssembly.Module.imports(module))
    if (from === "env" && kind === "function")
        env[name] = () => { throw new Error(`${name} was called`); };
const instance = await WebAssembly.instantiate(module, { env, wasi_snapshot_preview1: wasi.wasiImport });
process.exitCode = wasi.start(instance);
