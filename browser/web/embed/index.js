// @ts-check
/** The package's two ways in: `choose` between anything, `connect` to a server's kernels. */
export { choose } from "./choose.js";
export { connect } from "./fleetune.js";
