/** The server serves uPlot from its npm package under our own origin. */
declare module "*/uPlot.esm.js" {
  import uPlot from "uplot";
  export default uPlot;
}
