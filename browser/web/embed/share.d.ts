import type { Sharing } from "./fleetune";

export type { Sharing } from "./fleetune";

/** Share what choose() measured of a registered job with its server. Python starts with `add`; nothing leaves before `send`. */
export function sharing(server: string): Promise<Sharing>;
