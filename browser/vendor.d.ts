/** The server serves uPlot from its npm package among our own scripts. */
declare module "*/uPlot.esm.js" {
  import uPlot from "uplot";
  export default uPlot;
}
