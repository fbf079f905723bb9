/** Types of widget.js, which defines `<fleetune-widget>`; see EMBED.md. */
import type { Tuner } from "./fleetune.js";

/** The tuner that all elements of this page share for a server; null: the server that widget.js came from. */
export function sharedTuner(server: string | null, push: boolean): Promise<Tuner>;

declare global {
  interface HTMLElementTagNameMap {
    "fleetune-widget": HTMLElement;
  }
}
