"""A reader of WebAssembly modules and the static profile of a kernel."""
