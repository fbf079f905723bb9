"""`python -m kernels_wasm.build`."""

from kernels_wasm.build.builder import main

raise SystemExit(main())
